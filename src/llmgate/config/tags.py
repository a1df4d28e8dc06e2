"""Reads tags: short words that say of a provider where it is, what it costs, whatever requests may require."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from .decoder import Decoder, UnreadableError
from .quoting import quoted
from .tree import Node

__all__ = ["read_tags"]

_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/=-]{0,63}")


def read_tags(decoder: Decoder, node: Node | None, label: str) -> frozenset[str]:
    """The tags of a list; those that are none are noted and left out.

    Args:
        decoder: What reads values and notes problems.
        node: The list; None for none.
        label: What to call it in messages.
    """
    found: set[str] = set()
    if node is None:
        return frozenset()
    with contextlib.suppress(UnreadableError):
        for item in decoder.items_of(node, label):
            with contextlib.suppress(UnreadableError):
                tag = decoder.read(item, str, label)
                if not _TAG.fullmatch(tag):
                    sentence = f"{quoted(tag)} is no tag: letters, digits and . _ : / = -, 64 at most, as in region:eu"
                    raise decoder.refuse(item.where, sentence)
                found.add(tag)
    return frozenset(found)
