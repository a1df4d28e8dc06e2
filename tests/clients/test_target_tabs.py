"""Each tab of the universal gateway's page, as a program of its own against a running gateway: `make test-clients`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from clients.table import BUILD, NODE, PROGRAMS
from end_to_end.loopback import loopback
from llmgate.testing.upstream import FakeUpstream

SECONDS = 90
KEY = "sk-lg-of-alice"
GREETING = "Hello!"

pytestmark = [pytest.mark.timeout(SECONDS + 30), pytest.mark.slow]

CHAT = '{"model": "gpt-3.5-turbo-0613", "messages": [{"role": "user", "content": "Answer in one word"}]}'
CONTENTS = '{"contents": [{"role": "user", "parts": [{"text": "What is the capital of France?"}]}]}'


def curl(path: str, body: str) -> Sequence[str]:
    headers = ["Authorization: Bearer sk-own", f"Helicone-Auth: Bearer {KEY}", "content-type: application/json"]
    sent = [part for header in (*headers, "Helicone-Target-Url: $TARGET") for part in ("--header", header)]
    return ["curl", "-sS", "--fail-with-body", "--request", "POST", "--url", f"$GATEWAY{path}", *sent, "--data", body]


TABS: dict[str, tuple[Sequence[str], str, str]] = {
    "python": ([str(BUILD / "old/bin/python"), str(PROGRAMS / "target_openai_old.py")], "/v1/chat/completions", "old"),
    "package": ([str(BUILD / "old/bin/python"), str(PROGRAMS / "target_package.py")], "/v1/chat/completions", "old"),
    "node": (["node", "target_node.mjs"], "/v1/chat/completions", "node"),
    "langchain js": (["node", "target_langchain.mjs"], "/v1/chat/completions", "node"),
    "langchain": (
        [str(BUILD / "python/bin/python"), str(PROGRAMS / "target_langchain.py")], "/v1/chat/completions", "python",
    ),
    "curl": (curl("/v1/chat/completions", CHAT), "/v1/chat/completions", ""),
    "gemini": (
        curl("/v1/projects/p/locations/l/publishers/google/models/gemini-pro:generateContent", CONTENTS),
        "/v1/projects/p/locations/l/publishers/google/models/gemini-pro:generateContent", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tab", TABS)
async def test_a_tab_runs(tab: str, tmp_path: Path) -> None:
    command, path, log = TABS[tab]
    hashed = f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    async with FakeUpstream() as target:
        message = {"role": "assistant", "content": GREETING}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        chat = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        if tab != "gemini":
            target.answer(json=chat)
        else:
            part = {"content": {"role": "model", "parts": [{"text": GREETING}]}, "finishReason": "STOP"}
            target.answer(
                json={"candidates": [part], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}}
            )
        settings = {
            "providers": {},
            "target-urls": True,
            "egress": {"allow": [f"127.0.0.1:{target.port}"]},
            "auth": [{"use": "static-keys", "keys": [{"name": "alice", "hash": hashed}]}],
        }
        async with loopback(settings) as one:
            gateway = f"http://127.0.0.1:{one.port}"
            output = await ran(command, tmp_path, gateway, target.url, log)
            (sent,) = target.requests
            assert sent.path == path
            assert sent.headers["authorization"] == "Bearer sk-own"
            assert not [name for name in sent.headers if name.startswith("helicone-")]
            (record,) = await one.recorded()
            assert record.usage is not None
            assert record.principal == "alice"
            assert record.request_model
    assert GREETING in output


async def ran(command: Sequence[str], home: Path, gateway: str, target: str, log: str) -> str:
    """What a program prints; a program of Node's runs where its packages are."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "GATEWAY": gateway,
        "TARGET": target,
        "HELICONE_API_KEY": KEY,
        "LANGCHAIN_TRACING_V2": "false",
    }
    given = [part.replace("$GATEWAY", gateway).replace("$TARGET", target) for part in command]
    if given[0] == "node":
        place = NODE.parent / given[1]
        place.write_text((PROGRAMS / given[1]).read_text(encoding="utf-8"), encoding="utf-8")
        given[1] = str(place)
    try:
        process = await asyncio.create_subprocess_exec(
            *given, env=environment, cwd=home, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except OSError as error:
        said = (BUILD / f"{log}.log").read_text(errors="replace")[-2000:] if (BUILD / f"{log}.log").exists() else ""
        pytest.fail(f"{given[0]} could not be started: {error}; its installation said: {said}")
    assert process.returncode == 0, (output + errors).decode(errors="replace")
    return output.decode(errors="replace")
