"""The schema accepts what loads, and refuses what an editor should mark."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.fakes import fake_names, find_fake
from llmgate.config.json_schema import schema
from llmgate.config.keys import key_table
from llmgate.config.problems import Problems
from llmgate.config.source import parse_yaml
from llmgate.config.tree import plain
from llmgate.spec import kind_named
from llmgate.stages import builtin

EXAMPLES = sorted((Path(__file__).parents[2] / "config-examples").glob("*.yaml"))
TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}


def holds(word: str, wanted: Any, value: Any, rule: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether one word of a rule holds; a word that is not known here fails the test."""
    fields = value if isinstance(value, dict) else {}
    items = value if isinstance(value, list) else []
    number = value if isinstance(value, int | float) else None
    declared = rule.get("properties", {})
    words: dict[str, Callable[[], bool]] = {
        "$ref": lambda: valid(value, root["$defs"][wanted.removeprefix("#/$defs/")], root),
        "type": lambda: any(TYPES[kind](value) for kind in ([wanted] if isinstance(wanted, str) else wanted)),
        "enum": lambda: value in wanted,
        "const": lambda: value == wanted,
        "anyOf": lambda: any(valid(value, inner, root) for inner in wanted),
        "not": lambda: not valid(value, wanted, root),
        "required": lambda: not isinstance(value, dict) or all(name in value for name in wanted),
        "properties": lambda: all(valid(fields[name], inner, root) for name, inner in wanted.items() if name in fields),
        "additionalProperties": lambda: all(
            wanted is not False and valid(inner, wanted, root) for name, inner in fields.items() if name not in declared
        ),
        "items": lambda: all(valid(item, wanted, root) for item in items),
        "minItems": lambda: not isinstance(value, list) or len(value) >= wanted,
        "pattern": lambda: not isinstance(value, str) or re.search(wanted, value) is not None,
        "minimum": lambda: number is None or number >= wanted,
        "maximum": lambda: number is None or number <= wanted,
        "exclusiveMinimum": lambda: number is None or number > wanted,
        **dict.fromkeys(("title", "description", "default", "$schema", "$defs"), lambda: True),
    }
    return words[word]()


def valid(value: Any, rule: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as the schema uses."""
    return all(holds(word, wanted, value, rule, root) for word, wanted in rule.items())


def accepts(text: str) -> bool:
    found = schema(find_fake, fake_names)
    return valid(plain(parse_yaml(text, "f", Problems())), found, found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid_with_the_real_stages(path: Path) -> None:
    def classes(kind: str) -> dict[str, Any]:
        return {stage.name: stage for stage in getattr(builtin, kind_named(kind).hook, tuple)()}

    found = schema(lambda kind, name: classes(kind).get(name), lambda kind: sorted(classes(kind)))
    assert valid(plain(parse_yaml(path.read_text(), "f", Problems())), found, found)


@pytest.mark.parametrize(
    "text",
    [
        "server: {port: 1, shutdown-timeout: 5s, tls: Disabled}",
        "dispatcher: {connection_timeout: 1s}",
        "auth: [anonymous, {use: static-keys, keys: []}]",
        "secrets: {env: , prod: {use: vault, text: x}, vault: {text: x}}",
        "providers: {openai: , echo: {delay: 1s}}",
        "default-model-mapping: {a: openai/b, c: [openai/d]}",
        "routers: {r: {load-balance: {chat: {strategy: latency, decay: 5s, providers: [openai]}}}}",
        "routers:",
    ],
)
def test_accepted(text: str) -> None:
    assert accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "servr: {}",
        "server: {port: 70000}",
        "server: {port: x}",
        "timeouts: {connect: soon}",
        "auth: [nobody]",
        "auth: [{use: static-keys}]",
        "auth: [{use: static-keys, keys: [], x: 1}]",
        "providers: {openai: {modles: []}}",
        "providers: {openai: {secret: plain}}",
        "routers: {r: {load-balance: {chat: {strategy: latncy, providers: [openai]}}}}",
        "routers: {r: {load-balance: {chat: {strategy: weighted, providers: [{provider: a, weight: 0}]}}}}",
        "telemetry: {exporter: smoke}",
    ],
)
def test_refused(text: str) -> None:
    assert not accepts(text)


def test_every_key_of_the_table_is_in_the_schema() -> None:
    found = schema(find_fake, fake_names)
    for key in key_table():
        rule: Any = found
        for part in key.path.split("."):
            rule = next((option for option in rule.get("anyOf", []) if "properties" in option), rule)
            inner = rule.get("properties", {}).get(part)
            rule = inner if inner is not None else rule.get("additionalProperties")
            assert isinstance(rule, dict), key.path


@pytest.mark.parametrize("name", ["text", "count", "colour", "inner", "inners", "secret", "ttl", "small"])
def test_fields_of_a_stage_have_a_schema(name: str) -> None:
    (stage,) = [
        s
        for s in schema(find_fake, fake_names)["$defs"]["auth-stage"]["anyOf"]
        if "everything" in str(s.get("properties"))
    ]
    assert stage["properties"][name]
    assert stage["properties"]["small"]["maximum"] == 9
    assert stage["properties"]["ttl"]["description"] == "Seconds that something lives"
