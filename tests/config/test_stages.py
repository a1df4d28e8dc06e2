"""``use`` names a stage; the rest is its config."""

from __future__ import annotations

from config.fakes import STAGES, EverythingConfig, Loader
from llmgate.config.model import StageConfig


def test_stages_by_mapping_and_by_name(loader: Loader) -> None:
    config = loader.text("auth:\n- anonymous\n- {use: static-keys, keys: [{name: a}]}\n")
    assert [(stage.id, stage.use) for stage in config.auth] == [("auth[0]", "anonymous"), ("auth[1]", "static-keys")]
    assert config.auth[1].config.keys[0].name == "a"


def test_stores_that_are_always_there(loader: Loader) -> None:
    config = loader.text("secrets: {prod: {use: vault, text: x}, file: }\n")
    assert {name: stage.use for name, stage in config.secrets.items()} == {
        "env": "env",
        "prod": "vault",
        "file": "file",
    }
    assert config.secrets["prod"] == StageConfig("secrets.prod", "vault", EverythingConfig(text="x"))
    assert set(config.state) == {"memory"}


def test_a_stage_named_like_its_class_needs_no_use(loader: Loader) -> None:
    assert loader.text("secrets: {vault: {text: y}}").secrets["vault"].config.text == "y"


def test_mistakes(loader: Loader) -> None:
    assert loader.problems(
        "auth: anonymous\nsecrets: [env]\nloggers:\n- {path: x}\n- [x]\n- use: json-lin\nstate: {x: {}}\n"
    ) == [
        "c.yaml:1:7: 'auth' must be a list, not 'anonymous'",
        "c.yaml:2:10: 'secrets' must be a mapping of names",
        "c.yaml:4:3: 'use' is required in loggers[0]: it names the logger",
        "c.yaml:5:3: loggers[1] must be the name of a stage, or a mapping with use: name",
        "c.yaml:6:8: no logger is called 'json-lin': there are json-lines, python-logging (did you mean 'json-lines'?)",
        "c.yaml:7:12: 'use' is required in state.x: it names the state store",
    ]


def test_only_stages_that_are_named_are_looked_up(loader: Loader) -> None:
    asked: list[tuple[str, str]] = []

    def find(kind: str, name: str) -> object:
        asked.append((kind, name))
        return STAGES[kind].get(name)

    def names(kind: str) -> list[str]:
        raise AssertionError(f"listing {kind} would import every plugin")

    loader.find = find  # type: ignore[assignment]
    loader.names = names
    loader.text(
        "auth: [anonymous]\nsecrets: {prod: {use: vault}}\nproviders: {openai: , mine: {use: openai, base-url: 'http://x'}}\n"
        "routers: {r: {load-balance: {chat: {use: priority, providers: [openai]}}}}\n"
    )
    assert ("loggers", "json-lines") not in asked
