"""The stores of the older dialect, ``{type: in-memory}`` or ``{type: redis, …}``, as named entries of ``state``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

from .decoder import UnreadableError
from .sections import Section
from .stages import StageReader
from .tree import Entry, MapNode, ValueNode

__all__ = ["read_store", "with_key"]

_STAGES: Final[Mapping[str, str]] = {"in-memory": "memory", "redis": "redis"}
_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "in-memory": {"max-size": "max-size"},
    "redis": {"host-url": "url", "connection-timeout": "open-timeout"},
}
"""What each state store calls the keys of the dialect."""


def read_store(stages: StageReader, section: Section, key: str, label: str) -> str | None:
    """Take a store in under its label.

    Args:
        stages: What reads stages; the store is added to its ``stores``.
        section: What it is written in, read by the key table.
        key: Its key.
        label: What messages call it; also the name of the state store.

    Returns:
        The name of the state store; None where there is none, or where it cannot be read, which is noted.
    """
    written, node, where = section.values.get(key), section.nodes.get(key), section.place(key)
    if not isinstance(written, Section) or not isinstance(node, MapNode):
        return None
    kind = written.get("type")
    if kind is None:
        if "type" not in written.nodes:
            stages.decoder.problems.add(where, f"'type' is required in {label}: write in-memory or redis")
        return None
    if stages.find("state", _STAGES[kind]) is None:
        sentence = f"{label} needs the state store {kind!r}: pip install llmgate-{kind}, or write in-memory"
        stages.decoder.problems.add(written.place("type"), sentence)
        return None
    entries = {}
    for name, wanted in _KEYS[kind].items():
        entry = node.find(name)
        if entry is not None and name in written.nodes:
            entries[wanted] = Entry(wanted, entry.node, entry.where)
    with contextlib.suppress(UnreadableError):
        found = stages.configured("state", _STAGES[kind], MapNode(entries, where), f"state.{label}", where)
        stages.stores[label] = found
        return label
    return None


def with_key(node: MapNode, key: str, value: str) -> MapNode:
    """A mapping with one more key, as if it had been written where the mapping is."""
    return MapNode({**node.entries, key: Entry(key, ValueNode(value, value, node.where), node.where)}, node.where)
