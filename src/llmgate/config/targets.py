"""Reads whether callers may choose where their requests go, and what rules those that do."""

from __future__ import annotations

import contextlib
from typing import Final

from .decoder import Decoder, UnreadableError
from .egress import EgressConfig
from .model import StageConfig
from .sections import Section
from .stages import StageReader
from .tree import MapNode, ValueNode

__all__ = ["RULES", "read_egress", "read_targets"]

SECTION: Final = "target-urls"
RULES: Final = "target-domains"
"""The interceptor that the section stands for, first in the chain of the unified API."""


def read_targets(stages: StageReader, top: Section) -> StageConfig | None:
    """What ``target-urls`` says: ``true``, ``false`` or the config of its interceptor; None where it is off."""
    node = top.nodes.get(SECTION)
    if node is None:
        return None
    with contextlib.suppress(UnreadableError):
        if isinstance(node, ValueNode) and not stages.decoder.read(node, bool, SECTION):
            return None
        settings = node if isinstance(node, MapNode) else MapNode({}, node.where)
        return stages.configured("interceptors", RULES, settings, SECTION, top.place(SECTION))
    return None


def read_egress(decoder: Decoder, found: EgressConfig | None, top: Section) -> EgressConfig:
    """The section ``egress``, each of its keys looked at."""
    egress = found or EgressConfig()
    try:
        egress.check()
    except ValueError as wrong:
        decoder.problems.add(top.place("egress"), str(wrong))
    return egress
