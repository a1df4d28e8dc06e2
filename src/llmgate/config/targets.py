"""Reads whether callers may choose where their requests go, and what rules those that do."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import attrs

from .decoder import Decoder, UnreadableError
from .egress import EgressConfig
from .model import StageConfig
from .sections import Section, is_null
from .stages import StageReader
from .tree import Entry, MapNode, ValueNode

__all__ = ["RULES", "Targeting", "read_egress", "read_targets"]

SECTION: Final = "target-urls"
BOOK: Final = "book"
RULES: Final = "target-domains"
"""The interceptor that the section stands for, first in the chain of the unified API."""


@attrs.frozen
class Targeting:
    """What rules requests that name their own target.

    Args:
        rules: The interceptor; None where no request may.
        book: Where it is kept what was decided of domains.
    """

    rules: StageConfig | None = None
    book: StageConfig | None = None

    @property
    def chain(self) -> Sequence[StageConfig]:
        """What it puts into the chain of the unified API."""
        return () if self.rules is None else (self.rules,)


def read_targets(stages: StageReader, top: Section) -> Targeting:
    """What ``target-urls`` says: ``true``, ``false``, or the config of its interceptor and its book of domains."""
    node = top.nodes.get(SECTION)
    if node is None:
        return Targeting()
    with contextlib.suppress(UnreadableError):
        if isinstance(node, ValueNode) and not stages.decoder.read(node, bool, SECTION):
            return Targeting()
        settings = node if isinstance(node, MapNode) else MapNode({}, node.where)
        rest = MapNode({key: entry for key, entry in settings.entries.items() if key != BOOK}, settings.where)
        rules = stages.configured("interceptors", RULES, rest, SECTION, top.place(SECTION))
        return Targeting(rules, _book(stages, settings))
    return Targeting()


def _book(stages: StageReader, settings: MapNode) -> StageConfig:
    """The book of domains: a file's name, or a stage that keeps it elsewhere."""
    label = f"{SECTION}.{BOOK}"
    entry = settings.entries.get(BOOK)
    if entry is None or is_null(entry.node):
        return stages.configured("domains", "file", MapNode({}, settings.where), label, settings.where)
    if isinstance(entry.node, MapNode):
        return stages.stage("domains", entry.node, label)
    path = MapNode({"path": Entry("path", entry.node, entry.where)}, entry.where)
    return stages.configured("domains", "file", path, label, entry.where)


def read_egress(decoder: Decoder, found: EgressConfig | None, top: Section) -> EgressConfig:
    """The section ``egress``, each of its keys looked at."""
    egress = found or EgressConfig()
    try:
        egress.check()
    except ValueError as wrong:
        decoder.problems.add(top.place("egress"), str(wrong))
    return egress
