"""Values are read by type, each problem with its place, all of them at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from config.fakes import Colour, EverythingConfig, Inner, RequiredConfig
from llmgate.config.decoder import Decoder, UnreadableError
from llmgate.config.problems import Problems
from llmgate.config.source import parse_yaml
from llmgate.config.tree import MapNode
from llmgate.spec import PluginError, SecretRef


def read(text: str, cls: type[Any] = EverythingConfig) -> tuple[Any, list[str]]:
    problems = Problems()
    node = parse_yaml(text, "f", problems)
    assert isinstance(node, MapNode)
    assert not len(problems)
    try:
        return Decoder(problems, ("env", "vault")).read_class(node, cls, within="stage"), problems.lines()
    except UnreadableError:
        return None, problems.lines()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("text: no", "text", "no"),
        ("text: 2023-06-01", "text", "2023-06-01"),
        ("text: 1.50", "text", "1.50"),
        ("count: 0x10", "count", 16),
        ("ratio: 1", "ratio", 1.0),
        ("ttl: 15m", "ttl", 900.0),
        ("ttl: 2", "ttl", 2.0),
        ("period: 1h", "period", 3600),
        ("switch: true", "switch", True),
        ("path: a/b", "path", Path("a/b")),
        ("colour: green", "colour", Colour.GREEN),
        ("mode: slow", "mode", "slow"),
        ("names: [a, 1]", "names", ("a", "1")),
        ("pair: [x, 3]", "pair", ("x", 3)),
        ("table: {a: 1}", "table", {"a": 1}),
        ("inner: {name: n}", "inner", Inner("n")),
        ("inners: [{name: a}, {name: b}]", "inners", (Inner("a"), Inner("b"))),
        ("either: word", "either", "word"),
        ("either: 5", "either", 5),
        ("secret: env:NAME", "secret", SecretRef("env", "NAME")),
        ("anything: {a: [1, {b: null}]}", "anything", {"a": [1, {"b": None}]}),
        ("text:", "text", "t"),
        ("inner: null", "inner", None),
    ],
)
def test_values(text: str, field: str, value: object) -> None:
    found, problems = read(text)
    assert problems == []
    assert getattr(found, field) == value


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("text: [a]", "f:1:7: 'text' must be text, not a list"),
        ("count: 1.5", "f:1:8: 'count' must be a whole number, not 1.5"),
        ("count: 10s", "f:1:8: 'count' must be a whole number, not '10s'"),
        ("count: true", "f:1:8: 'count' must be a whole number, not true"),
        ("count: '1'", "f:1:8: 'count' must be a whole number, not '1': take the quotes off"),
        ("period: 500ms", "f:1:9: 'period' must be a whole number, not 500ms"),
        ("ratio: .nan", "f:1:8: 'ratio' must be a number or a duration such as 10s, not .nan"),
        ("ratio: 1e999", "f:1:8: 'ratio' must be a number or a duration such as 10s, not 1e999"),
        ("switch: yes", "f:1:9: 'switch' must be true or false, not 'yes'"),
        ("colour: gren", "f:1:9: 'colour' must be one of red, green, not 'gren' (did you mean 'green'?)"),
        ("mode: fsat", "f:1:7: 'mode' must be one of fast, slow, not 'fsat' (did you mean 'fast'?)"),
        ("names: a", "f:1:8: 'names' must be a list, not 'a'"),
        ("pair: [a]", "f:1:7: 'pair' must be a list of 2 values, not a list"),
        ("table: {a: x}", "f:1:12: 'a' must be a whole number, not 'x'"),
        ("inner: {nmae: n, name: m}", "f:1:9: unknown key 'nmae' in inner (did you mean 'name'?)"),
        ("inner: {}", "f:1:8: 'name' is required in inner"),
        ("either: [1]", "f:1:9: 'either' must be one of a whole number, text, not a list"),
        ("small: 10", "f:1:8: 'small' must be 1 to 9, not 10"),
        ("checked: 3", "f:1:10: stage: 'checked' must be in [1, 2] (got 3)"),
        ("cuont: 1", "f:1:1: unknown key 'cuont' in stage (did you mean 'count'?)"),
        ("secret: [env]", "f:1:9: 'secret' must be a secret reference such as env:OPENAI_API_KEY"),
    ],
)
def test_mistakes(text: str, problem: str) -> None:
    assert read(text) == (None, [problem])


def test_all_mistakes_are_found_in_one_pass() -> None:
    _, problems = read("count: x\ninners:\n- {name: [1]}\n- {nome: b}\ntable: {a: x, b: y}\nzzz: 1\nratio: z\n")
    assert [problem.split(": ")[0] for problem in problems] == [
        "f:1:8", "f:3:10", "f:4:3", "f:4:4", "f:5:12", "f:5:18", "f:6:1", "f:7:8",
    ]  # fmt: skip


def test_what_a_validator_refuses_is_found_in_the_same_pass() -> None:
    _, problems = read("small: 10\nchecked: 3\n")
    assert [problem.split(": ")[0] for problem in problems] == ["f:1:8", "f:2:10"]


def test_a_wrong_secret_is_not_shown() -> None:
    _, problems = read("secret: sk-verysecret\ninner: {name: x, secret: 'env:sk-verysecret'}")
    assert len(problems) == 2
    assert "verysecret" not in "".join(problems)


def test_required_keys() -> None:
    assert read("{}", RequiredConfig) == (None, ["f:1:1: 'keys' is required in stage"])
    assert read("keys:", RequiredConfig) == (None, ["f:1:1: 'keys' is required in stage"])
    assert read("keys: []", RequiredConfig)[0] == RequiredConfig(())


@attrs.frozen
class More:
    length: dt.timedelta = dt.timedelta()
    raw: bytes = b""
    bag: frozenset[int] = frozenset()
    deep: Mapping[str, Sequence[Mapping[str, int]]] = attrs.field(factory=dict)
    maybe: int | None = None
    list_: list[int] = attrs.field(factory=list)
    keyed: Mapping[int, str] = attrs.field(factory=dict)


def test_more_types() -> None:
    found, problems = read(
        "length: 90s\nraw: x\nbag: [1, 1]\ndeep: {a: [{b: 1}]}\nmaybe:\nlist: [1]\nkeyed: {1: a}\n", More
    )
    assert problems == []
    assert found == More(dt.timedelta(seconds=90), b"x", frozenset({1}), {"a": ({"b": 1},)}, None, [1], {1: "a"})
    assert read("length: 1e300", More)[1] == ["f:1:9: 'length' must be a duration such as 10s, not 1e300"]


@attrs.frozen
class Unwritable:
    function: type[int] = int


@attrs.frozen
class Unresolvable:
    value: "Nowhere" = 1  # type: ignore[name-defined]  # noqa: F821, UP037


@attrs.frozen
class Broken:
    value: int = attrs.field(default=1, converter=lambda value: {}[value])


def test_a_plugin_whose_config_class_cannot_be_read_is_the_plugins_fault() -> None:
    with pytest.raises(PluginError, match="no configuration can write"):
        read("function: x", Unwritable)
    with pytest.raises(PluginError, match="Unresolvable cannot be resolved"):
        read("value: x", Unresolvable)


def test_whatever_a_config_class_raises_is_a_problem() -> None:
    assert read("value: 5", Broken) == (None, ["f:1:1: stage: 5"])


def test_both_spellings_are_read_and_not_both_at_once() -> None:
    @attrs.frozen
    class Two:
        base_url: str = ""

    assert read("base_url: x", Two)[0] == Two("x")
    assert read("base-url: x", Two)[0] == Two("x")
    assert read("base-url: x\nbase_url: y", Two)[1] == ["f:2:1: 'base_url' says the same as 'base-url': keep one"]


def test_commas_make_a_list_in_variables_only() -> None:
    problems = Problems()
    node = parse_yaml("a, b,", "f", problems)
    decoder = Decoder(problems)
    with pytest.raises(UnreadableError):
        decoder.read(node, Sequence[str], "names")
    assert decoder.read(attrs.evolve(node, variable=True), Sequence[str], "names") == ("a", "b")  # type: ignore[arg-type, misc]
