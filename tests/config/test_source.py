"""YAML and mappings become a positioned tree; what a configuration has no use for is refused where it stands."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import Any

import pytest

from llmgate.config import load
from llmgate.config.problems import Problems
from llmgate.config.source import MAX_BYTES, MAX_NODES, ConfigText, parse_yaml, read_file, read_mapping
from llmgate.config.tree import ListNode, MapNode, plain
from llmgate.spec import ConfigError, SecretRef


def read(text: str) -> tuple[Any, list[str]]:
    problems = Problems()
    return plain(parse_yaml(text, "f", problems)), problems.lines()


def test_values_and_places() -> None:
    problems = Problems()
    node = parse_yaml("a:\n  b: [1, no]\n  'c': \"8080\"\n", "f.yaml", problems)
    assert plain(node) == {"a": {"b": [1, "no"], "c": "8080"}}
    assert isinstance(node, MapNode)
    inner = node.entries["a"].node
    assert isinstance(inner, MapNode)
    assert str(inner.entries["c"].where) == "f.yaml:3:3"
    items = inner.entries["b"].node
    assert isinstance(items, ListNode)
    assert str(items.items[1].where) == "f.yaml:2:10"
    assert not len(problems)


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_document_is_empty(text: str) -> None:
    value, problems = read(text)
    assert not value
    assert problems == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x 1\n", "f:1:4: anchors are not allowed: write the value out where it is needed"),
        ("a: *x\n", "f:1:4: aliases are not allowed: write the value out"),
        ("a:\n  <<: {b: 1}\n", "f:2:3: merge keys are not allowed: write the keys out"),
        ("a: !!python/object/apply:os.system [x]\n", "f:1:4: tags are not allowed: write a plain value"),
        ("a: !x 1\n", "f:1:4: tags are not allowed: write a plain value"),
        ("%YAML 1.1\n---\na: 1\n", "f:2:1: directives are not allowed: the file is read as YAML 1.2"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document begins here: a configuration is one document"),
        ("a: 1\na: 2\n", "f:2:1: duplicate key 'a', first in line 1: keep one of them"),
        ("? [a]\n: 1\n", "f:1:3: a key must be plain text"),
        (": 1\n", "f:1:1: a key is missing before the colon"),
        ("a: [1\n", "f:2:1: is not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a:\n\tb: 1\n", "f:2:1: is not YAML: found character '\\t' that cannot start any token"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    assert read(text)[1] == [problem]


@pytest.mark.parametrize(
    "text", ['a: "\\UFFFFFFFF"\n', "a: \x01\n", "%YAML x\n", "a: \x00", '"\\ud800": 1', "%TAG ! !\n"]
)
def test_what_the_parser_chokes_on_is_a_problem_with_a_place(text: str) -> None:
    problems = Problems()
    parse_yaml(text, "f", problems)
    assert len(problems) == 1


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(20)
    )
    assert read(bomb)[1] == ["f:1:4: anchors are not allowed: write the value out where it is needed"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 50_000, "- " * 5_000, "\n".join(" " * n + "a:" for n in range(900))]
)
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    _, problems = read(text)
    assert problems
    assert "nested deeper than 32 levels" in problems[0]
    assert time.monotonic() - started < 10


def test_many_values_are_refused() -> None:
    _, problems = read("a: [" + "1," * (MAX_NODES + 10) + "]")
    assert problems == [
        f"f:1:{2 * MAX_NODES - 1}: has more than {MAX_NODES} values, the most that a configuration may have"
    ]


class TestFiles:
    def problem(self, path: Path) -> str:
        problems = Problems()
        node = read_file(path, problems)
        assert isinstance(node, MapNode)
        assert not node.entries
        return "\n".join(problems.lines())

    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert self.problem(tmp_path / "x.yaml") == f"{tmp_path}/x.yaml: cannot be read: no such file or directory"

    def test_a_directory(self, tmp_path: Path) -> None:
        assert self.problem(tmp_path).endswith(": cannot be read: is a directory")

    def test_a_name_with_nul(self) -> None:
        assert "is no path of a file" in self.problem(Path("a\0b"))

    def test_a_huge_file(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"#" * (MAX_BYTES + 1))
        assert "is larger than 512 KiB" in self.problem(tmp_path / "x")

    @pytest.mark.parametrize("data", [b"a: 1\nb: \xff", "a: 1\nb: \u00e9".encode("latin-1")])
    def test_not_utf8(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "x").write_bytes(data)
        assert self.problem(tmp_path / "x").endswith("x:2:4: is not UTF-8: save the file as UTF-8")

    def test_utf16_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes("a: 1".encode("utf-16"))
        assert "is not UTF-8" in self.problem(tmp_path / "x")

    def test_a_byte_order_mark_is_skipped(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa: 1")
        problems = Problems()
        assert plain(read_file(tmp_path / "x", problems)) == {"a": 1}


class Word(enum.StrEnum):
    ONE = "one"


class TestMappings:
    def test_values(self) -> None:
        problems = Problems()
        node = read_mapping({"a": (1, Word.ONE), "b": SecretRef("env", "X"), "c": Path("x"), 1: None}, problems)
        assert plain(node) == {"a": [1, "one"], "b": "env:X", "c": "x", "1": None}
        assert not len(problems)

    def test_places_are_paths(self) -> None:
        node = read_mapping({"routers": {"x": [{"y": 1}]}}, Problems())
        assert isinstance(node, MapNode)
        inner = node.entries["routers"].node
        assert isinstance(inner, MapNode)
        items = inner.entries["x"].node
        assert isinstance(items, ListNode)
        item = items.items[0]
        assert isinstance(item, MapNode)
        assert str(item.entries["y"].where) == "routers.x[0].y"

    @pytest.mark.parametrize(
        "value", [{"a": object()}, {"a": b"x"}, {"a": {1, 2}}, {None: 1}, {True: 1}, {"a": 10**5000}, {(1,): 1}]
    )
    def test_what_no_file_could_say_is_refused(self, value: dict[Any, Any]) -> None:
        problems = Problems()
        read_mapping(value, problems)
        assert len(problems) == 1

    def test_a_mapping_that_contains_itself_is_refused(self) -> None:
        loop: dict[str, Any] = {}
        loop["a"] = [loop, loop]
        problems = Problems()
        read_mapping(loop, problems)
        assert len(problems)


def test_a_text_that_was_read_is_taken_as_the_file(tmp_path: Path, loader: Any) -> None:
    path = tmp_path / "conf.yaml"
    path.write_text("\ufeffserver:\n  port: 1\n  prt: 2\n", encoding="utf-8")
    text = ConfigText.read(path)
    path.unlink()
    problems = Problems()
    assert plain(parse_yaml(text.text, "f", problems)) == {"server": {"port": 1, "prt": 2}}
    with pytest.raises(ConfigError, match=rf"{path}:3:3: "):
        load(text, environment={}, find=loader.find, names=loader.names)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * (MAX_BYTES + 1)])
def test_a_text_that_cannot_be_read_is_a_problem_like_a_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "conf.yaml"
    if content is not None:
        path.write_bytes(content)
    problems = Problems()
    read_file(path, problems)
    with pytest.raises(ConfigError) as caught:
        ConfigText.read(path)
    assert list(caught.value.problems) == problems.lines()


def test_a_text_does_not_show_itself() -> None:
    """There may be headers in it that somebody should not have written there."""
    assert "sk-" not in repr(ConfigText(Path("x"), "headers: {authorization: sk-1}"))
