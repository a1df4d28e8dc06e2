"""The configuration that our first users have, and their curl, unchanged: each of the three vendors serves it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from end_to_end.gateways import gateway
from llmgate.testing.upstream import FakeUpstream

SEED_FILE = Path(__file__).parents[2] / "config-examples" / "ai-gateway-config.yaml"
KEYS = {"OPENAI_API_KEY": "key-openai", "ANTHROPIC_API_KEY": "key-anthropic", "GEMINI_API_KEY": "key-gemini"}
BODY = '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]}'
HEADERS = ("-H", "Content-Type: application/json")
ROUTER_IN_VARIABLES = {
    "AI_GATEWAY__ROUTERS__MY_ROUTER__LOAD_BALANCE__CHAT__STRATEGY": "latency",
    "AI_GATEWAY__ROUTERS__MY_ROUTER__LOAD_BALANCE__CHAT__PROVIDERS": "[openai, anthropic, gemini]",
}


def curl(url: str, path: str = "/router/my-router/chat/completions") -> dict[str, str]:
    """What the seed's reader pastes, and the headers of the answer."""
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "-D",
            "-",
            "-o",
            "/dev/null",
            "-X",
            "POST",
            url + path,
            "-H",
            "Content-Type: application/json",
            "-d",
            BODY,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    status, *lines = done.stdout.strip().splitlines()
    assert " 200" in status, done.stdout
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("how", ["file", "variables"])
async def test_a_bare_model_is_served_by_each_vendor_with_its_own_key_and_model(tmp_path: Path, how: str) -> None:
    async with FakeUpstream() as openai, FakeUpstream() as anthropic, FakeUpstream() as gemini:
        upstreams = {"openai": openai, "anthropic": anthropic, "gemini": gemini}
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()))
        environment = {f"AI_GATEWAY__PROVIDERS__{name.upper()}__BASE_URL": one.url for name, one in upstreams.items()}
        if how == "file":
            shutil.copy(SEED_FILE, tmp_path / "ai-gateway-config.yaml")
        else:
            environment |= ROUTER_IN_VARIABLES

        def ask_often() -> Counter[str]:
            with gateway(tmp_path, environment=environment) as one:
                return Counter(curl(one.url)["helicone-provider"] for _ in range(40))

        served = await asyncio.to_thread(ask_often)
        assert set(served) == set(upstreams), served
        assert sum(served.values()) == 40
        models = {}
        for name, upstream in upstreams.items():
            assert {request.headers["authorization"] for request in upstream.requests} == {f"Bearer key-{name}"}
            (models[name],) = {json.loads(request.body)["model"] for request in upstream.requests}
        assert models["openai"] == "gpt-4o-mini"
        assert models["anthropic"].startswith("claude-")
        assert models["gemini"].startswith("gemini-")
        assert {request.path for request in gemini.requests} == {"/v1beta/openai/chat/completions"}


async def test_a_vendor_without_its_key_is_named_at_start_and_the_others_serve(tmp_path: Path) -> None:
    async with FakeUpstream() as openai:
        shutil.copy(SEED_FILE, tmp_path / "ai-gateway-config.yaml")
        environment = {"OPENAI_API_KEY": "key-openai", "AI_GATEWAY__PROVIDERS__OPENAI__BASE_URL": openai.base_url}

        def ask() -> tuple[str, Counter[str]]:
            with gateway(tmp_path, environment=environment) as one:
                served = Counter(curl(one.url)["helicone-provider"] for _ in range(10))
                return "\n".join([*one.lines, *one.errors]), served

        said, served = await asyncio.to_thread(ask)
        assert "ANTHROPIC_API_KEY" in said
        assert "GEMINI_API_KEY" in said
        assert served == {"openai": 10}
