"""What was written, as a tree in which every value knows its place: one shape for files, variables and mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping as AbstractMapping, Sequence as AbstractSequence
from typing import Any, TypeAlias

import attrs

from .problems import Where

__all__ = ["Entry", "ListNode", "MapNode", "Node", "ValueNode", "canonical", "merged", "plain"]


@attrs.frozen(eq=False)
class ValueNode:
    """A scalar.

    Args:
        value: What the core schema makes of it.
        text: What was written, without quotes.
        where: Its place.
        variable: Whether it comes from an environment variable, where a comma may stand for a list.
    """

    value: str | int | float | bool | None
    text: str
    where: Where
    variable: bool = False


@attrs.frozen(eq=False)
class ListNode:
    """A list."""

    items: AbstractSequence[Node]
    where: Where


@attrs.frozen(eq=False)
class Entry:
    """One key of a mapping and its value; ``where`` is the key's place."""

    key: str
    node: Node
    where: Where


@attrs.frozen(eq=False)
class MapNode:
    """A mapping, its keys as they were written and in written order."""

    entries: AbstractMapping[str, Entry]
    where: Where

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def find(self, name: str) -> Entry | None:
        """The entry with that key, in kebab-case or snake_case."""
        found = self.entries.get(name)
        if found is not None:
            return found
        wanted = canonical(name)
        return next((entry for entry in self if canonical(entry.key) == wanted), None)


Node: TypeAlias = ValueNode | ListNode | MapNode


def canonical(key: str) -> str:
    """A key in lower kebab-case, which is how keys and environment variables are compared."""
    return key.lower().replace("_", "-")


def merged(base: Node, over: Node) -> Node:
    """Both trees, the second winning: mappings are merged, all else is replaced whole (JSON merge patch, RFC 7396).

    A key of ``over`` means the key of ``base`` that is spelt alike but for case and ``_`` for ``-``, so that a
    variable's ``MY_ROUTER`` reaches the file's ``my_router``.
    """
    if not isinstance(base, MapNode) or not isinstance(over, MapNode):
        return over
    entries = dict(base.entries)
    for entry in over:
        found = base.find(entry.key)
        if found is None:
            entries[entry.key] = entry
        else:
            entries[found.key] = attrs.evolve(found, node=merged(found.node, entry.node), where=_place(found, entry))
    return attrs.evolve(base, entries=entries)


def plain(node: Node) -> Any:
    """The tree as ordinary Python values."""
    if isinstance(node, MapNode):
        return {entry.key: plain(entry.node) for entry in node}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value


def _place(found: Entry, entry: Entry) -> Where:
    """Where to point for a merged key: at the file when both are sections, else at what won."""
    both = isinstance(found.node, MapNode) and isinstance(entry.node, MapNode)
    return found.where if both else entry.where
