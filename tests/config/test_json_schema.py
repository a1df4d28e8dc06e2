"""The schema accepts what loads, and refuses what an editor should mark."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def valid(value: Any, rule: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as the schema uses; a word it does not know fails the test."""
    for word, wanted in rule.items():
        match word:
            case "$ref":
                name = wanted.removeprefix("#/$defs/")
                found = valid(value, root["$defs"][name], root)
            case "type":
                found = any(TYPES[kind](value) for kind in ([wanted] if isinstance(wanted, str) else wanted))
            case "enum":
                found = value in wanted
            case "const":
                found = value == wanted
            case "anyOf":
                found = any(valid(value, inner, root) for inner in wanted)
            case "not":
                found = not valid(value, wanted, root)
            case "required":
                found = not isinstance(value, dict) or all(name in value for name in wanted)
            case "properties":
                found = not isinstance(value, dict) or all(
                    valid(value[name], inner, root) for name, inner in wanted.items() if name in value
                )
            case "additionalProperties":
                rest = (
                    [v for k, v in value.items() if k not in rule.get("properties", {})]
                    if isinstance(value, dict)
                    else []
                )
                found = not rest if wanted is False else all(valid(v, wanted, root) for v in rest)
            case "items":
                found = not isinstance(value, list) or all(valid(item, wanted, root) for item in value)
            case "minItems":
                found = not isinstance(value, list) or len(value) >= wanted
            case "pattern":
                found = not isinstance(value, str) or re.search(wanted, value) is not None
            case "minimum" | "maximum" | "exclusiveMinimum":
                number = isinstance(value, int | float)
                compare = {
                    "minimum": lambda a, b: a >= b, "maximum": lambda a, b: a <= b, "exclusiveMinimum": lambda a, b: a > b
                }[word]  # fmt: skip
                found = not number or compare(value, wanted)
            case "title" | "description" | "default" | "$schema" | "$defs":
                found = True
            case _:
                raise AssertionError(f"unknown word {word}")
        if not found:
            return False
    return True


def accepts(text: str) -> bool:
    found = schema(find_fake, fake_names)
    return valid(plain(parse_yaml(text, "f", Problems())), found, found)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_valid_with_the_real_stages(path: Path) -> None:
    def classes(kind: str) -> dict[str, Any]:
        return {stage.name: stage for stage in getattr(builtin, kind_named(kind).hook)()}

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
