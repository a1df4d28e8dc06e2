"""Reads YAML and Python mappings into the positioned tree, and refuses what a configuration has no use for.

YAML is read from the parser's events, one at a time: an alias, an anchor, a tag or a merge key is refused where it
stands, before anything could be expanded, and depth and size are bounded while the tree grows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

import attrs
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from llmgate.spec import SecretRef

from .problems import Problems, Where
from .quoting import looks_secret, quoted
from .scalars import has_surrogate, resolve
from .tree import Entry, ListNode, MapNode, Node, ValueNode

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "ConfigText", "parse_yaml", "read_file", "read_mapping"]

MAX_BYTES: Final = 512 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000

_WORD: Final = re.compile(r"[A-Za-z0-9_./-]{1,64}")
_MOST_BITS: Final = 256
"""Python refuses to write integers of thousands of digits as text."""

_PARSER_LEAKS: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What the YAML parser raises, beside its own errors, for some malformed escapes and directives."""


class _StoppedError(Exception):
    """Reading cannot go on; the problem has been noted."""


@attrs.frozen
class ConfigText:
    """A configuration file that has been read already, to be taken as the file from now on, whatever becomes of it.

    Args:
        path: The file; what relative paths are relative to, and what it is called in messages.
        text: What was in it.
    """

    path: Path = attrs.field(converter=Path)
    text: str = attrs.field(repr=False)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ConfigText:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or is not text.
        """
        problems = Problems()
        text = _text_of(Path(path), problems)
        problems.raise_if_any()
        return cls(path, text)


def read_file(path: Path, problems: Problems) -> Node:
    """A configuration file as a tree; an empty one where it cannot be read, with the reason in ``problems``."""
    before = len(problems)
    text = _text_of(path, problems)
    if len(problems) > before:
        return MapNode({}, Where(os.fspath(path)))
    return parse_yaml(text, os.fspath(path), problems)


def _text_of(path: Path, problems: Problems) -> str:
    """What is in a file; ``""`` where it cannot be read, with the reason in ``problems``."""
    where = Where(os.fspath(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        problems.add(where, f"cannot be read: {(error.strerror or type(error).__name__).lower()}")
        return ""
    except ValueError:
        problems.add(where, "is no path of a file")
        return ""
    if len(data) > MAX_BYTES:
        problems.add(where, f"is larger than {MAX_BYTES // 1024} KiB, the most that a configuration may have")
        return ""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        problems.add(attrs.evolve(where, line=line, column=column), "is not UTF-8: save the file as UTF-8")
        return ""


def parse_yaml(text: str, source: str, problems: Problems, *, variable: bool = False) -> Node:
    """YAML text as a tree.

    Args:
        text: One YAML 1.2 document.
        source: What to call it in messages.
        problems: Where to note what is wrong.
        variable: Whether it is the value of an environment variable, which has no lines worth naming.

    Returns:
        The tree as far as it could be read; an empty mapping for an empty document.
    """
    reader = _Reader(source, problems, variable)
    try:
        return reader.read(text)
    except _StoppedError:
        pass
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(reader.place(mark), _syntax(error))
    except YAMLError:
        problems.add(reader.place(None), "has a character that YAML does not allow: remove control characters")
    except RecursionError:
        problems.add(reader.place(None), f"is nested deeper than {MAX_DEPTH} levels")
    except _PARSER_LEAKS:
        problems.add(reader.place(None), "is not YAML: look for a wrong escape in double quotes or a broken directive")
    return MapNode({}, reader.place(None))


def read_mapping(value: Mapping[Any, Any], problems: Problems) -> Node:
    """A Python mapping as a tree; places are paths such as ``routers.my-router``."""
    return _Values(problems).node(value, "", 0)


def _syntax(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    return f"is not YAML: {problem[:1].lower()}{problem[1:160]}".rstrip(".")


@attrs.define
class _Open:
    """A collection whose end has not come."""

    where: Where
    is_map: bool
    items: list[Node] = attrs.field(factory=list)
    entries: dict[str, Entry] = attrs.field(factory=dict)
    key: tuple[str, Where] | None = None


@attrs.define
class _Reader:
    """Builds a tree of one document's events without recursion."""

    source: str
    problems: Problems
    variable: bool
    last: Where | None = None
    root: Node | None = None
    open: list[_Open] = attrs.field(factory=list)
    count: int = 0
    documents: int = 0

    def read(self, text: str) -> Node:
        for event in self._events(text):
            self.last = self.place(event.start_mark)
            if isinstance(event, DocumentStartEvent):
                self._document(event)
            elif isinstance(event, AliasEvent):
                self._stop("aliases are not allowed: write the value out")
            elif isinstance(event, MappingStartEvent | SequenceStartEvent):
                self._enter(event)
            elif isinstance(event, MappingEndEvent | SequenceEndEvent):
                self._leave()
            elif isinstance(event, ScalarEvent):
                self._scalar(event)
        if self.root is None:
            return MapNode({}, Where(self.source))
        return self.root

    def _events(self, text: str) -> Iterator[Any]:
        events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        return events

    def place(self, mark: Any) -> Where:
        if self.variable:
            return Where(self.source)
        if mark is None:
            return self.last or Where(self.source)
        return Where(self.source, mark.line + 1, mark.column + 1)

    def _stop(self, sentence: str) -> None:
        self.problems.add(self.place(None), sentence)
        raise _StoppedError

    def _document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            self._stop("a second document begins here: a configuration is one document")
        if event.version not in (None, (1, 2)) or event.tags:
            self._stop("directives are not allowed: the file is read as YAML 1.2")

    def _check(self, event: Any) -> None:
        self.count += 1
        if self.count > MAX_NODES:
            self._stop(f"has more than {MAX_NODES} values, the most that a configuration may have")
        if event.anchor is not None:
            self._stop("anchors are not allowed: write the value out where it is needed")
        if event.tag is not None:
            self._stop("tags are not allowed: write a plain value")

    def _enter(self, event: Any) -> None:
        self._check(event)
        if len(self.open) >= MAX_DEPTH:
            self._stop(f"is nested deeper than {MAX_DEPTH} levels")
        if self.open and self.open[-1].is_map and self.open[-1].key is None:
            self._stop("a key must be plain text")
        self.open.append(_Open(self.place(event.start_mark), isinstance(event, MappingStartEvent)))

    def _leave(self) -> None:
        done = self.open.pop()
        self._add(MapNode(done.entries, done.where) if done.is_map else ListNode(tuple(done.items), done.where))

    def _scalar(self, event: Any) -> None:
        self._check(event)
        where = self.place(event.start_mark)
        is_plain = event.implicit[0]
        if self.open and self.open[-1].is_map and self.open[-1].key is None:
            self._key(event.value, is_plain, where)
            return
        value = resolve(event.value) if is_plain else event.value
        self._add(ValueNode(value, event.value, where, self.variable))

    def _key(self, text: str, is_plain: bool, where: Where) -> None:
        if has_surrogate(text):
            self._stop("a key has half a character in it (a lone surrogate)")
        if is_plain and text == "<<":
            self._stop("merge keys are not allowed: write the keys out")
        if is_plain and resolve(text) is None:
            self.problems.add(where, "a key is missing before the colon")
        found = self.open[-1].entries.get(text)
        if found is not None:
            first = f", first in line {found.where.line}" if found.where.line else ""
            self.problems.add(where, f"duplicate key {quoted(text)}{first}: keep one of them")
        self.open[-1].key = (text, where)

    def _add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        if not top.is_map:
            top.items.append(node)
            return
        assert top.key is not None, "a value of a mapping follows its key"
        key, where = top.key
        top.entries.setdefault(key, Entry(key, node, where))
        top.key = None


@attrs.define
class _Values:
    """Builds a tree of ordinary Python values."""

    problems: Problems
    count: int = 0

    def node(self, value: Any, path: str, depth: int) -> Node:
        where = Where(path or "configuration")
        self.count += 1
        if depth > MAX_DEPTH:
            self.problems.add(where, f"is nested deeper than {MAX_DEPTH} levels")
            return ValueNode(None, "", where)
        if self.count > MAX_NODES:
            self.problems.add(Where("configuration"), f"has more than {MAX_NODES} values")
            return ValueNode(None, "", where)
        if isinstance(value, Mapping):
            return self._map(value, path, where, depth)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            items = tuple(self.node(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value))
            return ListNode(items, where)
        return self._scalar(value, where)

    def _map(self, value: Mapping[Any, Any], path: str, where: Where, depth: int) -> MapNode:
        entries: dict[str, Entry] = {}
        for key, inner in value.items():
            if isinstance(key, str) and has_surrogate(key):
                self.problems.add(where, "a key has half a character in it (a lone surrogate)")
                continue
            if isinstance(key, bool) or not isinstance(key, str | int):
                self.problems.add(where, f"a key must be text, not {type(key).__name__}")
                continue
            name = str(key.value if isinstance(key, Enum) else key)
            inner_path = f"{path}.{_shown(name)}" if path else _shown(name)
            entries[name] = Entry(name, self.node(inner, inner_path, depth + 1), Where(inner_path))
        return MapNode(entries, where)

    def _scalar(self, value: Any, where: Where) -> ValueNode:
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, SecretRef):
            value = str(value)
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            self.problems.add(where, "a number this large is no setting")
            return ValueNode(None, "", where)
        if value is None or isinstance(value, str | int | float):
            return ValueNode(value, "" if value is None else _text(value), where)
        allowed = "text, a number, a truth value, a list or a mapping"
        self.problems.add(where, f"a value must be {allowed}, not {type(value).__name__}")
        return ValueNode(None, "", where)


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(name: str) -> str:
    """A key as part of a path in messages: as it is when it is an ordinary word, else quoted."""
    return name if _WORD.fullmatch(name) and not looks_secret(name) else quoted(name)
