"""Every example loads, and every refused one is refused with the message that stands beside it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.cli import main
from llmgate.cli.program import build_parser
from llmgate.config import load
from llmgate.config.explain import explain
from llmgate.config.model import GatewayConfig
from llmgate.host.guard import authenticates
from llmgate.registry import Registry
from llmgate.spec import KINDS, AuthenticationError, ConfigError, Credentials, Stage, kind_named
from llmgate.stages import builtin
from llmgate.testing.transport import ScriptedTransport, json_answer

EXAMPLES = Path(__file__).parents[2] / "config-examples"
KEYS = {f"{name}_API_KEY": "x" for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ")} | {
    "PARTNER_TOKEN": "x",
    "BATCH_KEY": "x",
}
RUNNING = ("01", "02", "03", "04", "08", "09", "10")
"""Those that need no control plane beside them: ``tests/plugins/test_control_plane.py`` has one."""
ANSWER = {
    "id": "x",
    "object": "chat.completion",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello!"}}],
}
SEED = """\
routers:
  my-router:
    load-balance:
      chat:
        strategy: latency
        providers:
          - openai      # Uses OPENAI_API_KEY
          - anthropic   # Uses ANTHROPIC_API_KEY
          - gemini      # Uses GEMINI_API_KEY
"""


def _classes(kind: str) -> dict[str, type[Stage[Any]]]:
    return {stage.name: stage for stage in getattr(builtin, kind_named(kind).hook, tuple)()}


def find(kind: str, name: str) -> type[Stage[Any]] | None:
    return _classes(kind).get(name)


def names(kind: str) -> Sequence[str]:
    return sorted(_classes(kind))


def loaded(path: Path) -> GatewayConfig:
    return load(path, environment=KEYS, find=find, names=names)


def listed(pattern: str) -> list[str]:
    return sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob(pattern))


@pytest.mark.parametrize("name", listed("*.yaml"))
def test_an_example_loads_without_a_warning_once_its_keys_are_set(name: str) -> None:
    config = loaded(EXAMPLES / name)
    assert config.warnings == ()
    assert config.providers
    assert "x" not in explain(config).split()


@pytest.mark.parametrize("name", listed("*.yaml"))
def test_the_readme_names_each_example(name: str) -> None:
    assert f"`{name}`" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", listed("authentication/*.yaml"))
def test_an_example_of_authentication_loads_with_the_plugins_that_it_names(name: str) -> None:
    registry = Registry()
    config = load(EXAMPLES / name, environment=KEYS, find=registry.find, names=registry.names)
    assert config.warnings == ()
    assert config.server.address == "0.0.0.0"
    assert authenticates(config) is not config.server.allow_open
    assert f"`{name}`" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", [name for name in listed("authentication/*.yaml") if name[15:17] in RUNNING])
async def test_an_example_of_authentication_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has no key, a wrong one or a forged certificate is refused; in the closed network nobody needs any."""
    for variable in ("LLMGATE_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.setenv(variable, f"sqlite:///{tmp_path}/llmgate.db")
    monkeypatch.setenv("LLMGATE_KEY_PEPPER", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    (tmp_path / "llmgate.yaml").write_bytes((EXAMPLES / name).read_bytes())
    if "url-from" in (EXAMPLES / name).read_text():
        assert await asyncio.to_thread(main, ["db", "upgrade", "--config", str(tmp_path / "llmgate.yaml")]) == 0
    transport = ScriptedTransport([json_answer(ANSWER)])
    asked: dict[str, Any] = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    async with Pipeline.from_config(tmp_path / "llmgate.yaml", transport=transport) as pipeline:
        if pipeline.config.server.allow_open:
            assert (await pipeline.complete(**asked, credentials=Credentials())).text == "Hello!"
            return
        forged = {"x-forwarded-client-cert": "URI=spiffe://example.org/ns/prod/sa/chat", "x-client-cert": "x"}
        for credentials in (Credentials(), Credentials.of("sk-lg-unknown"), Credentials(headers=forged)):
            with pytest.raises(AuthenticationError):
                await pipeline.complete(**asked, credentials=credentials)
    assert [one.url for one in transport.requests if "openai" in one.url] == []


@pytest.mark.parametrize("name", listed("refused/*.yaml"))
def test_a_wrong_example_is_refused_with_exactly_its_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = EXAMPLES / name
    monkeypatch.chdir(path.parent)
    with pytest.raises(ConfigError) as caught:
        loaded(Path(path.name))
    assert list(caught.value.problems) == path.with_suffix(".message").read_text().splitlines()


def test_there_are_enough_wrong_examples_and_no_message_without_one() -> None:
    files = listed("refused/*.yaml")
    assert len(files) >= 15
    assert [name.replace(".message", ".yaml") for name in listed("refused/*.message")] == files


def test_the_seeds_file_is_unchanged() -> None:
    assert (EXAMPLES / "ai-gateway-config.yaml").read_text() == SEED
    router = loaded(EXAMPLES / "ai-gateway-config.yaml").routers["my-router"]
    assert router.balances["chat"].strategy.use == "latency"
    assert [member.provider for member in router.balances["chat"].members] == ["openai", "anthropic", "gemini"]


def test_the_examples_use_every_kind_that_a_file_can_name() -> None:
    text = "".join((EXAMPLES / name).read_text() for name in listed("*.yaml"))
    used = {kind.id for kind in KINDS if any(f"use: {name}" in text or f"{name}:" in text for name in names(kind.id))}
    assert {"auth", "routing", "providers", "interceptors", "loggers"} <= used


def test_the_commands_that_the_page_gives_are_ones_that_the_program_takes() -> None:
    text = " ".join((EXAMPLES / "README.md").read_text().split())
    commands = re.findall(r"`llmgate ([a-z]+ [^`]+)`", text)
    assert len(commands) >= 2
    for command in commands:
        taken = vars(build_parser().parse_args(command.split()))
        assert Path("FILE") in (taken.get("file"), taken.get("config"))
