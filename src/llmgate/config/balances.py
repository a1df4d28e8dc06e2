"""Reads balances: the strategies of the older dialect, and any routing strategy that is installed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .decoder import UnreadableError
from .meanings import key_of, settable
from .members import Strategy, read_members
from .model import BalanceConfig, StageConfig
from .problems import Where
from .quoting import quoted
from .sections import Section, is_null
from .stages import StageReader
from .tree import Entry, MapNode, Node, ValueNode

__all__ = ["read_balance"]

_SUM_TOLERANCE: Final = 1e-6


_STRATEGIES: Final[Mapping[str, Strategy]] = {
    "latency": Strategy("latency"),
    "balanced-latency": Strategy("latency"),
    "weighted": Strategy("weighted", weighs=True),
    "provider-weighted": Strategy("weighted", weighs=True),
    "model-weighted": Strategy("weighted", by_model=True, weighs=True),
    "model-latency": Strategy("latency", by_model=True, grouped=True),
}
_OWN_KEYS: Final = ("strategy", "use", "over", "providers", "models")


def read_balance(
    stages: StageReader,
    node: Node,
    label: str,
    where: Where,
    *,
    discover: Section,
    named: Callable[[str, Where], None],
) -> BalanceConfig:
    """One balance.

    Args:
        stages: What reads stages.
        node: What was written.
        label: Where it stands, for messages and notes.
        where: Its place.
        discover: The ``discover`` section, whose values the latency strategy takes where it has none of its own.
        named: Told each provider that an entry names, and the place of it; also where something else is wrong.

    Raises:
        UnreadableError: something is wrong with it; noted.
    """
    decoder = stages.decoder
    if not isinstance(node, MapNode):
        raise decoder.refuse(where, f"{label!r} must be a mapping with a strategy and its providers")
    before = len(decoder.problems)
    strategy, name, place = _strategy(stages, node, label, where)
    config = _config(stages, node, strategy, label, place, discover)
    over = _over(stages, node, config, label)
    dialect = name in _STRATEGIES and node.entries.get("strategy") is not None
    members = read_members(stages, node, strategy, name if dialect else "", label, where, named)
    if strategy.weighs and len(decoder.problems) == before:
        total = math.fsum(member.weight for member in members)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise decoder.refuse(where, f"the weights of {label} sum to {total:.6g}: they must sum to 1")
    if config is None or len(decoder.problems) > before:
        raise UnreadableError
    by_model = any(member.model is not None for member in members)
    return BalanceConfig(config, members, by_model, strategy.grouped, over)


def _strategy(stages: StageReader, node: MapNode, label: str, where: Where) -> tuple[Strategy, str, Where]:
    """What a balance asks for: the strategy, the word it was asked by, and the place of that word."""
    written, used = node.entries.get("strategy"), node.entries.get("use")
    if written is not None and used is not None:
        raise stages.decoder.refuse(used.where, "'strategy' and 'use' say the same: keep one of them")
    entry = written or used
    if entry is None or is_null(entry.node):
        words = ", ".join(_STRATEGIES)
        raise stages.decoder.refuse(where, f"'strategy' is required in {label}: one of {words}, or a routing strategy")
    name = stages.decoder.read(entry.node, str, entry.key)
    if entry is written and name in _STRATEGIES:
        return _STRATEGIES[name], name, entry.node.where
    if stages.find("routing", name) is None:
        known = sorted({*stages.names("routing"), *(_STRATEGIES if entry is written else ())})
        sentence = f"no routing strategy is called {quoted(name)}: there are {', '.join(known)}"
        stages.decoder.problems.add(entry.node.where, sentence, word=name, known=known)
        return Strategy(""), name, entry.node.where
    return Strategy(name), name, entry.node.where


def _config(
    stages: StageReader,
    node: MapNode,
    strategy: Strategy,
    label: str,
    place: Where,
    discover: Section,
) -> StageConfig | None:
    if not strategy.use:
        return None
    entries = {entry.key: entry for entry in node if entry.key not in _OWN_KEYS}
    rest = MapNode(entries, node.where)
    try:
        if strategy.use == "latency":
            stage = stages.stage_class("routing", strategy.use, place)
            keys = {key_of(field) for field in settable(stage.config_class)}
            for key, written in (("decay", "discover-decay"), ("default-rtt", "default-rtt")):
                value = discover.get(written)
                if value is not None and key in keys and rest.find(key) is None:
                    there = discover.place(written)
                    entries[key] = Entry(key, ValueNode(value, f"{value:g}", there), there)
        return stages.configured("routing", strategy.use, MapNode(entries, node.where), label, place)
    except UnreadableError:
        return None


def _over(stages: StageReader, node: MapNode, outer: StageConfig | None, label: str) -> Sequence[StageConfig]:
    """The strategies that a strategy is laid over, each over the next; none where it stands alone."""
    entry = node.entries.get("over")
    if entry is None or is_null(entry.node) or outer is None:
        return ()
    stage = stages.find("routing", outer.use)
    if stage is None or not getattr(stage, "wraps", False):
        able = [
            name for name in sorted(stages.names("routing")) if getattr(stages.find("routing", name), "wraps", False)
        ]
        raise stages.decoder.refuse(
            entry.where,
            f"{outer.use!r} puts every deployment in its place by itself, 'over' says nothing to it: it belongs to "
            f"{', '.join(able) or 'no strategy that is installed'}",
        )
    inner, label = entry.node, f"{label}.over"
    plain = inner
    if isinstance(inner, MapNode):
        plain = MapNode({one.key: one for one in inner if one.key != "over"}, inner.where)
    config = stages.stage("routing", plain, label)
    below = _over(stages, inner, config, label) if isinstance(inner, MapNode) else ()
    return (config, *below)
