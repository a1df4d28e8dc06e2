"""Reads a section of the configuration by the key table: which keys it has and what each of them takes."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal

import attrs

from llmgate.spec import SecretRef

from .decoder import Decoder, UnreadableError
from .keys import children
from .problems import Where
from .quoting import quoted
from .tree import MapNode, Node, ValueNode

__all__ = ["Section", "is_null", "read_section"]

_TYPES: Final[Mapping[str, Any]] = {
    "text": str,
    "switch": bool,
    "count": int,
    "number": float,
    "duration": float,
    "list": tuple[str, ...],
    "reference": SecretRef,
}


@attrs.frozen(eq=False)
class Section:
    """A section that has been read.

    Args:
        where: Its place.
        values: What its keys say, those that are absent or empty left out; a ``Section`` for a section.
        nodes: The nodes of all its keys that are not empty.
        places: Where its keys stand.
    """

    where: Where
    values: Mapping[str, Any] = attrs.field(factory=dict)
    nodes: Mapping[str, Node] = attrs.field(factory=dict)
    places: Mapping[str, Where] = attrs.field(factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """What a key says."""
        return self.values.get(key, default)

    def section(self, key: str) -> Section:
        """A section inside, an empty one when it is absent."""
        found = self.values.get(key)
        return found if isinstance(found, Section) else Section(self.where)

    def place(self, key: str) -> Where:
        """Where a key stands, the section's own place when it is absent."""
        return self.places.get(key, self.where)


def read_section(
    decoder: Decoder,
    node: Node,
    path: str,
    label: str,
    *,
    raw: Collection[str] = (),
    extra: Collection[str] = (),
) -> Section:
    """A section by the key table.

    Args:
        decoder: What reads values and notes problems.
        node: The section as it was written.
        path: Its path in the table, ``""`` for the whole.
        label: What to call it in messages.
        raw: Keys of the table that the caller reads itself.
        extra: Further keys that are allowed, also left to the caller.
    """
    if is_null(node):
        return Section(node.where)
    if not isinstance(node, MapNode):
        with contextlib.suppress(UnreadableError):
            decoder.read(node, dict, label)
        return Section(node.where)
    keys = children(path)
    entries = decoder.entries(node, (*keys, *extra), label)
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        key = keys.get(name)
        if key is None or name in raw or is_null(entry.node):
            continue
        inner = f"{path}.{name}" if path else name
        if key.type == "section":
            values[name] = read_section(decoder, entry.node, inner, name)
        elif key.type == "number" and isinstance(entry.node, ValueNode) and isinstance(entry.node.value, str):
            decoder.problems.add(entry.node.where, f"{name!r} must be a number, not {quoted(entry.node.text)}")
        elif (wanted := _wanted(key.type)) is not None:
            with contextlib.suppress(UnreadableError):
                values[name] = decoder.read(entry.node, wanted, name)
    return Section(
        where=node.where,
        values=values,
        nodes={name: entry.node for name, entry in entries.items() if not is_null(entry.node)},
        places={name: entry.where for name, entry in entries.items()},
    )


def is_null(node: Node) -> bool:
    """Whether a key was written without a value, which means the same as not writing it."""
    return isinstance(node, ValueNode) and node.value is None


def _wanted(kind: str) -> Any:
    """The Python type behind a type word; None for what only its own reader can read (stages, names)."""
    if kind in _TYPES:
        return _TYPES[kind]
    if ":" in kind or kind == "names":
        return None
    return Literal[tuple(kind.split("|"))]
