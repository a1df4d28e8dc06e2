"""Reads what becomes of what a provider's wire format cannot say: ``unsupported-parameters``."""

from __future__ import annotations

import contextlib
from typing import Final

from .decoder import Decoder, UnreadableError
from .model import UnsupportedConfig, UnsupportedPolicy
from .sections import Section, is_null, read_section
from .tree import MapNode

__all__ = ["UNSUPPORTED", "read_unsupported"]

UNSUPPORTED: Final = "unsupported-parameters"


def read_unsupported(decoder: Decoder, section: Section) -> UnsupportedConfig:
    """What a scope says of it: one word for all parameters, or a section with words for single ones.

    Args:
        decoder: What reads values and notes problems.
        section: The scope.
    """
    node = section.nodes.get(UNSUPPORTED)
    if node is None:
        return UnsupportedConfig()
    if not isinstance(node, MapNode):
        with contextlib.suppress(UnreadableError):
            return UnsupportedConfig(decoder.read(node, UnsupportedPolicy, UNSUPPORTED))
        return UnsupportedConfig()
    found = read_section(decoder, node, UNSUPPORTED, UNSUPPORTED, raw=("parameters",))
    written = found.nodes.get("parameters")
    parameters: dict[str, UnsupportedPolicy] = {}
    if isinstance(written, MapNode):
        for entry in written:
            if not is_null(entry.node):
                with contextlib.suppress(UnreadableError):
                    parameters[entry.key] = decoder.read(entry.node, UnsupportedPolicy, entry.key)
    elif written is not None:
        decoder.problems.add(written.where, f"'{UNSUPPORTED}.parameters' must be a mapping of names")
    return UnsupportedConfig(found.get("policy"), parameters)
