"""Reads the several keys that a provider may have."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

from llmgate.spec import ProviderKey, SecretRef

from .decoder import Decoder, UnreadableError
from .sections import Section
from .tree import MapNode, Node, ValueNode

__all__ = ["read_keys"]


def read_keys(decoder: Decoder, section: Section) -> Sequence[ProviderKey]:
    """The keys under ``secrets``, in written order; those that cannot be read are noted and left out.

    Args:
        decoder: What reads values and notes problems.
        section: The provider.
    """
    node = section.nodes.get("secrets")
    if node is None:
        return ()
    if "secret" in section.nodes:
        decoder.problems.add(section.place("secrets"), "'secret' and 'secrets' exclude each other: keep one")
    found: dict[SecretRef, ProviderKey] = {}
    with contextlib.suppress(UnreadableError):
        items = decoder.items_of(node, "secrets")
        if not items:
            decoder.problems.add(node.where, "'secrets' is empty: name at least one")
        for item in items:
            with contextlib.suppress(UnreadableError):
                key = _key(decoder, item)
                if key.secret in found:
                    decoder.problems.add(item.where, f"{key.secret} is listed twice in secrets")
                found[key.secret] = key
    return tuple(found.values())


def _key(decoder: Decoder, node: Node) -> ProviderKey:
    if not isinstance(node, MapNode):
        return ProviderKey(decoder.read(node, SecretRef, "secrets"))
    entries = decoder.entries(node, ("secret", "weight"), "secrets")
    if "secret" not in entries:
        raise decoder.refuse(node.where, "'secret' is required in each entry of secrets")
    secret = decoder.read(entries["secret"].node, SecretRef, "secret")
    weight = entries.get("weight")
    if weight is None:
        return ProviderKey(secret)
    value = weight.node.value if isinstance(weight.node, ValueNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise decoder.refuse(weight.node.where, "'weight' must be a number above 0")
    return ProviderKey(secret, float(value))
