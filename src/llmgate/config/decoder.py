"""Turns nodes into typed values: cattrs picks the hook for a type, the hooks here read nodes and note every problem.

A hook that cannot read its node notes why, with the node's place, and raises ``UnreadableError``; collections and
classes go on with the next element, so that all problems are found in one pass.
"""

from __future__ import annotations

import collections.abc
import contextlib
import datetime as dt
import enum
import math
import pathlib
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin

import attrs
import cattrs

from llmgate.spec import PluginError, SecretRef

from .bounds import Bounds, bounds_of
from .durations import seconds
from .meanings import key_of, says_seconds, settable
from .problems import Problems, Where
from .quoting import quoted, redacted
from .references import read_reference
from .scalars import has_surrogate, resolve
from .tree import Entry, ListNode, MapNode, Node, ValueNode, plain

__all__ = ["Decoder", "UnreadableError"]

T = TypeVar("T")

_LISTS: Mapping[Any, Callable[[Any], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.abc.Sequence: tuple,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: tuple,
    collections.abc.Iterable: tuple,
    collections.abc.Set: frozenset,
    collections.abc.MutableSet: set,
}
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class UnreadableError(Exception):
    """A node is not what its place wants; the problem has been noted."""


class Decoder:
    """Reads nodes as types.

    Args:
        problems: Where to note what is wrong.
        stores: The names of the configured secret stores, which references may name.
    """

    def __init__(self, problems: Problems, stores: Collection[str] = ()) -> None:
        self.problems = problems
        self.stores = stores
        self._label = "the configuration"
        self._converter = self._hooks()

    def read(self, node: Node, wanted: Any, label: str) -> Any:
        """A node as a value of type ``wanted``.

        Args:
            node: The node.
            wanted: Any type that a stage's config class may have as a field.
            label: What to call the value in messages.

        Raises:
            UnreadableError: it cannot be; the reason has been noted.
        """
        with self._labelled(label):
            return self._structured(node, wanted)

    def read_class(self, node: MapNode, cls: type[T], *, within: str, skipped: Collection[str] = ()) -> T:
        """A mapping as an attrs class: its fields are the keys, in kebab-case or snake_case.

        Args:
            node: The mapping.
            cls: An attrs class.
            within: What the keys belong to, for messages.
            skipped: Keys that somebody else reads.

        Raises:
            UnreadableError: it cannot be; every reason has been noted.
        """
        before = len(self.problems)
        fields = {key_of(field): field for field in settable(cls)}
        values: dict[str, Any] = {}
        for key, entry in self.entries(node, (*fields, *skipped), within).items():
            field = fields.get(key)
            if field is not None and key not in skipped and not _is_null(entry.node):
                with contextlib.suppress(UnreadableError):
                    value = values[field.alias or field.name] = self._field(entry.node, cls, field, key)
                    self._validate(entry.node, field, value, within)
        for key, field in fields.items():
            given = node.find(key)
            if field.default is attrs.NOTHING and (given is None or _is_null(given.node)):
                self.problems.add(node.where, f"{key!r} is required in {within}")
        if len(self.problems) > before:
            raise UnreadableError
        return self._made(node, cls, values, within)

    def entries(self, node: MapNode, known: Collection[str], within: str) -> Mapping[str, Entry]:
        """The entries of a mapping by kebab-case key; unknown and doubled keys are noted and left out."""
        found: dict[str, Entry] = {}
        for entry in node:
            key = entry.key if entry.key in known else entry.key.replace("_", "-")
            if key not in known:
                sentence = f"unknown key {quoted(entry.key)} in {within}"
                self.problems.add(entry.where, sentence, word=entry.key, known=known)
            elif key in found:
                self.problems.add(
                    entry.where, f"{quoted(entry.key)} says the same as {quoted(found[key].key)}: keep one"
                )
            else:
                found[key] = entry
        return found

    def refuse(self, where: Where, sentence: str) -> UnreadableError:
        """Note a problem; raise what comes back."""
        self.problems.add(where, sentence)
        return UnreadableError()

    @contextlib.contextmanager
    def _labelled(self, label: str) -> Iterator[None]:
        before, self._label = self._label, label
        try:
            yield
        finally:
            self._label = before

    def _structured(self, node: Node, wanted: Any) -> Any:
        try:
            return self._converter.structure(node, wanted)
        except cattrs.StructureHandlerNotFoundError:
            raise PluginError(f"{self._label!r} has a type that no configuration can write: {wanted}") from None

    def _mismatch(self, node: Node, wanted: str) -> UnreadableError:
        is_quoted = isinstance(node, ValueNode) and node.value == node.text and resolve(node.text) != node.text
        remedy = ": take the quotes off" if is_quoted else ""
        return self.refuse(node.where, f"{quoted(self._label)} must be {wanted}, not {_described(node)}{remedy}")

    def _field(self, node: Node, cls: type[Any], field: attrs.Attribute[Any], key: str) -> Any:
        wanted = _hints(cls).get(field.name, Any)
        if isinstance(node, ValueNode) and isinstance(node.value, str) and says_seconds(cls, field):
            length = seconds(node.value)
            if length is not None:
                node = attrs.evolve(node, value=int(length) if length.is_integer() else length)
        with self._labelled(key):
            value = self._structured(node, wanted)
        self.check(value, bounds_of(cls, field), node.where, key)
        return value

    def check(self, value: Any, bounds: Bounds | None, where: Where, label: str) -> None:
        """Hold a number to its bounds.

        Raises:
            UnreadableError: it is beyond them.
        """
        if bounds is None or isinstance(value, bool) or not isinstance(value, int | float):
            return
        if not bounds.allow(value):
            raise self.refuse(where, f"{label!r} must be {bounds}, not {value:g}")

    def _validate(self, node: Node, field: attrs.Attribute[Any], value: Any, within: str) -> None:
        """Let a field's own validator judge alone, so that what it refuses is noted beside what is wrong elsewhere."""
        if field.validator is None or field.converter is not None:
            return
        try:
            field.validator(None, field, value)
        except ValueError as error:
            raise self.refuse(node.where, _said(error, within)) from None
        except Exception:  # noqa: BLE001 - one that looks at the whole, which is not made yet, is asked again with it
            return

    def _made(self, node: MapNode, cls: type[T], values: Mapping[str, Any], within: str) -> T:
        try:
            return cls(**values)
        except Exception as error:  # noqa: BLE001 - validators of a stage's config class are anybody's code
            field = next((arg for arg in error.args[1:] if isinstance(arg, attrs.Attribute)), None)
            entry = node.find(key_of(field)) if field is not None else None
            raise self.refuse(entry.node.where if entry else node.where, _said(error, within)) from None

    def _hooks(self) -> cattrs.Converter:
        converter = cattrs.Converter(detailed_validation=False)
        for scalar in (str, int, float, bool, bytes, enum.Enum, pathlib.Path):
            converter.register_structure_hook(scalar, self._scalar)
        register = converter.register_structure_hook_func
        register(lambda cls: attrs.has(_bare(cls)), self._nested)
        register(lambda cls: cls is SecretRef, lambda node, _: self._reference(node))
        register(lambda cls: cls is dt.timedelta, lambda node, _: self._timedelta(node))
        register(lambda cls: _bare(cls) in _LISTS, self._list)
        register(lambda cls: _bare(cls) in _MAPS, self._map)
        register(lambda cls: _bare(cls) is Literal, self._literal)
        register(lambda cls: _bare(cls) in (Union, types.UnionType), self._union)
        register(lambda cls: cls is Any or cls is object, lambda node, _: plain(node))
        return converter

    def _scalar(self, node: Node, cls: type[Any]) -> Any:
        if issubclass(cls, enum.Enum):
            return self._enum(node, cls)
        if cls is bool:
            if isinstance(node, ValueNode) and isinstance(node.value, bool):
                return node.value
            raise self._mismatch(node, "true or false")
        if cls is float:
            return self._number(node)
        if cls is int:
            if isinstance(node, ValueNode) and isinstance(node.value, int) and not isinstance(node.value, bool):
                return node.value
            raise self._mismatch(node, "a whole number")
        text = self._text(node)
        return text.encode() if cls is bytes else pathlib.Path(text) if issubclass(cls, pathlib.Path) else text

    def _text(self, node: Node) -> str:
        if not isinstance(node, ValueNode) or _is_null(node):
            raise self._mismatch(node, "text")
        if "\0" in node.text or has_surrogate(node.text):
            raise self.refuse(node.where, f"{quoted(self._label)} has a character that text cannot have")
        return node.text

    def _number(self, node: Node) -> float:
        if isinstance(node, ValueNode) and not isinstance(node.value, bool):
            value = seconds(node.value) if isinstance(node.value, str) else node.value
            with contextlib.suppress(OverflowError):
                if value is not None and math.isfinite(value):
                    return float(value)
        raise self._mismatch(node, "a number or a duration such as 10s")

    def _timedelta(self, node: Node) -> dt.timedelta:
        try:
            return dt.timedelta(seconds=self._number(node))
        except OverflowError:
            raise self._mismatch(node, "a duration such as 10s") from None

    def _enum(self, node: Node, cls: type[enum.Enum]) -> Any:
        values = {str(member.value): member for member in cls}
        return values[self._word(node, list(values))]

    def _literal(self, node: Node, wanted: Any) -> Any:
        values = {str(value).lower() if isinstance(value, bool) else str(value): value for value in get_args(wanted)}
        return values[self._word(node, list(values))]

    def _word(self, node: Node, words: list[str]) -> str:
        if not isinstance(node, ValueNode) or node.text not in words:
            text = node.text if isinstance(node, ValueNode) else ""
            sentence = f"{quoted(self._label)} must be one of {', '.join(words)}, not {_described(node)}"
            self.problems.add(node.where, sentence, word=text, known=words)
            raise UnreadableError
        return node.text

    def _reference(self, node: Node) -> SecretRef:
        if not isinstance(node, ValueNode) or not isinstance(node.value, str):
            raise self.refuse(node.where, f"{self._label!r} must be a secret reference such as env:OPENAI_API_KEY")
        try:
            return read_reference(node.value.strip(), self.stores)
        except ValueError as error:
            raise self.refuse(node.where, f"{self._label!r} {error}") from None

    def _list(self, node: Node, wanted: Any) -> Any:
        origin, args = _bare(wanted), get_args(wanted)
        items = self._items(node)
        variadic = len(args) <= 1 or (len(args) == 2 and args[1] is Ellipsis)
        if not variadic and len(items) != len(args):
            raise self._mismatch(node, f"a list of {len(args)} values")
        kinds = [args[0] if args else Any] * len(items) if variadic else list(args)
        values, failed = [], False
        for item, kind in zip(items, kinds, strict=True):
            try:
                values.append(self._structured(item, kind))
            except UnreadableError:
                failed = True
        if failed:
            raise UnreadableError
        try:
            return _LISTS[origin](values)
        except TypeError:
            raise self._mismatch(node, "a list of plain values") from None

    def items_of(self, node: Node, label: str) -> Collection[Node]:
        """The elements of a list; a variable's text is split at its commas.

        Raises:
            UnreadableError: the node is no list; noted.
        """
        with self._labelled(label):
            return self._items(node)

    def _items(self, node: Node) -> Collection[Node]:
        if isinstance(node, ListNode):
            return node.items
        if isinstance(node, ValueNode) and node.variable and node.value is not None:
            texts = [part.strip() for part in node.text.split(",") if part.strip()]
            return [ValueNode(resolve(text), text, node.where, variable=True) for text in texts]
        raise self._mismatch(node, "a list")

    def _map(self, node: Node, wanted: Any) -> Any:
        if not isinstance(node, MapNode):
            raise self._mismatch(node, "a mapping")
        key_type, value_type = get_args(wanted) or (str, Any)
        values, failed = {}, False
        for entry in node:
            key = ValueNode(resolve(entry.key), entry.key, entry.where)
            with self._labelled(entry.key):
                try:
                    values[self._structured(key, key_type)] = self._structured(entry.node, value_type)
                except UnreadableError:
                    failed = True
        if failed:
            raise UnreadableError
        return values

    def _union(self, node: Node, wanted: Any) -> Any:
        members = [member for member in get_args(wanted) if member is not types.NoneType]
        if _is_null(node) and len(members) < len(get_args(wanted)):
            return None
        if len(members) == 1:
            return self._structured(node, members[0])
        noted, self.problems = self.problems, Problems()
        try:
            for member in sorted(members, key=_looseness):
                with contextlib.suppress(UnreadableError):
                    return self._structured(node, member)
        finally:
            self.problems = noted
        raise self._mismatch(node, f"one of {', '.join(_named(member) for member in members)}")

    def _nested(self, node: Node, cls: Any) -> Any:
        if not isinstance(node, MapNode):
            raise self._mismatch(node, "a mapping")
        return self.read_class(node, cast("type[Any]", cls), within=self._label)


def _said(error: Exception, within: str) -> str:
    """What a config class refused a value with, on one line."""
    said = redacted(str(error.args[0] if error.args else type(error).__name__))
    return f"{within}: {' '.join(said.split())[:300]}"


def _hints(cls: type[Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as error:
        raise PluginError(f"the types of the config class {cls.__qualname__} cannot be resolved: {error}") from error


def _bare(wanted: Any) -> Any:
    return get_origin(wanted) or wanted


def _is_null(node: Node) -> bool:
    return isinstance(node, ValueNode) and node.value is None


def _described(node: Node) -> str:
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    return "nothing" if node.value is None else quoted(node.text) if isinstance(node.value, str) else node.text[:40]


def _looseness(member: Any) -> int:
    """Text last: nearly everything can be read as text."""
    order = (bool, int, float)
    return order.index(member) if member in order else 9 if member in (str, pathlib.Path) else 5


def _named(member: Any) -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(member) or str(getattr(_bare(member), "__name__", member))
