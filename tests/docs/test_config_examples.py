"""Every example loads, and every refused one is refused with the message that stands beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llmgate.cli.program import build_parser
from llmgate.config import load
from llmgate.config.explain import explain
from llmgate.config.model import GatewayConfig
from llmgate.host.guard import authenticates
from llmgate.registry import Registry
from llmgate.spec import KINDS, ConfigError, Stage, kind_named
from llmgate.stages import builtin

EXAMPLES = Path(__file__).parents[2] / "config-examples"
KEYS = {f"{name}_API_KEY": "x" for name in ("OPENAI", "ANTHROPIC", "GEMINI", "GROQ")} | {
    "PARTNER_TOKEN": "x",
    "BATCH_KEY": "x",
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
    return {stage.name: stage for stage in getattr(builtin, kind_named(kind).hook)()}


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
