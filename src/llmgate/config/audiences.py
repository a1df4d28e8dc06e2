"""Reads the callers that an entry is kept for: ``for: {team: research}``."""

from __future__ import annotations

from llmgate.spec import Audience

from .decoder import Decoder
from .tree import MapNode, Node, ValueNode

__all__ = ["read_audience"]


def read_audience(decoder: Decoder, node: Node) -> Audience:
    """The callers that ``for`` means: what is known of them, each with one pattern or a list of them.

    Raises:
        UnreadableError: it says nothing that can be read; noted.
    """
    if not isinstance(node, MapNode) or not node.entries:
        raise decoder.refuse(
            node.where, "'for' must be a mapping such as {team: research}: id, issuer, kind, an attribute"
        )
    wanted: dict[str, tuple[str, ...]] = {}
    for entry in node:
        if isinstance(entry.node, ValueNode) and not entry.node.variable:
            wanted[entry.key] = (decoder.read(entry.node, str, entry.key),)
        else:
            wanted[entry.key] = decoder.read(entry.node, tuple[str, ...], entry.key)
        if not wanted[entry.key]:
            raise decoder.refuse(entry.node.where, f"{entry.key!r} is empty: name at least one")
    return Audience(tuple(wanted.items()))
