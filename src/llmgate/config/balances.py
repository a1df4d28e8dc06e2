"""Reads balances: the strategies of the older dialect, and any routing strategy that is installed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from .decoder import UnreadableError
from .meanings import key_of, settable
from .model import BalanceConfig, MemberConfig, StageConfig
from .problems import Where
from .quoting import quoted
from .sections import Section, is_null
from .stages import StageReader
from .tree import Entry, MapNode, Node, ValueNode

__all__ = ["Strategy", "read_balance", "split_model"]

_SUM_TOLERANCE: Final = 1e-6


@attrs.frozen
class Strategy:
    """A strategy of the dialect.

    Args:
        use: The routing strategy that it stands for.
        by_model: Whether its entries are models rather than providers.
        weighs: Whether each entry has a weight, and all of them sum to 1.
        grouped: Whether only the entries of the model asked for are candidates.

    An empty ``use`` stands for a strategy that nobody knows, whose entries are read all the same.
    """

    use: str
    by_model: bool = False
    weighs: bool = False
    grouped: bool = False


_STRATEGIES: Final[Mapping[str, Strategy]] = {
    "latency": Strategy("latency"),
    "balanced-latency": Strategy("latency"),
    "weighted": Strategy("weighted", weighs=True),
    "provider-weighted": Strategy("weighted", weighs=True),
    "model-weighted": Strategy("weighted", by_model=True, weighs=True),
    "model-latency": Strategy("latency", by_model=True, grouped=True),
}
_OWN_KEYS: Final = ("strategy", "use", "providers", "models")


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
    members = _members(stages, node, strategy, name, label, where, named)
    if strategy.weighs and len(decoder.problems) == before:
        total = math.fsum(member.weight for member in members)
        if abs(total - 1) > _SUM_TOLERANCE:
            raise decoder.refuse(where, f"the weights of {label} sum to {total:.6g}: they must sum to 1")
    if config is None or len(decoder.problems) > before:
        raise UnreadableError
    by_model = any(member.model is not None for member in members)
    return BalanceConfig(strategy=config, members=members, by_model=by_model, grouped=strategy.grouped)


def split_model(text: str) -> tuple[str, str] | None:
    """Provider and model of ``provider/model``, split at the first slash; None when the text is not of that form."""
    provider, slash, model = text.partition("/")
    return (provider, model) if slash and provider and model else None


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


def _members(
    stages: StageReader,
    node: MapNode,
    strategy: Strategy,
    name: str,
    label: str,
    where: Where,
    named: Callable[[str, Where], None],
) -> Sequence[MemberConfig]:
    decoder = stages.decoder
    given = {key: entry for key in ("providers", "models") if (entry := node.find(key)) and not is_null(entry.node)}
    dialect = name in _STRATEGIES and node.entries.get("strategy") is not None
    wanted = ("models" if strategy.by_model else "providers") if dialect else next(iter(given), "providers")
    for key, entry in given.items():
        if key != wanted:
            hint = f": use model-{strategy.use}" if dialect and key == "models" else ""
            decoder.problems.add(entry.where, f"{key!r} does not belong to {name!r}, which takes {wanted}{hint}")
    if wanted not in given:
        raise decoder.refuse(where, f"{wanted!r} is required in {label}")
    items = decoder.items_of(given[wanted].node, wanted)
    if not items:
        raise decoder.refuse(given[wanted].where, f"{wanted!r} is empty: name at least one")
    members: list[MemberConfig] = []
    for item in items:
        with contextlib.suppress(UnreadableError):
            text, where, weight = _parts(stages, item, wanted)
            member = _member(stages, text, where, wanted)
            named(member.provider, where)
            if any((member.provider, member.model) == (other.provider, other.model) for other in members):
                decoder.problems.add(item.where, f"{quoted(text)} is listed twice in {label}")
            share = _share(stages, item, weight, strategy, name, wanted)
            members.append(attrs.evolve(member, weight=share))
    return tuple(members)


def _parts(stages: StageReader, node: Node, wanted: str) -> tuple[str, Where, Entry | None]:
    """What an entry names, the place of that, and its weight where it has one."""
    decoder, key = stages.decoder, wanted[:-1]
    if not isinstance(node, MapNode):
        return decoder.read(node, str, key), node.where, None
    entries = decoder.entries(node, (key, "weight"), wanted)
    if key not in entries:
        raise decoder.refuse(node.where, f"{key!r} is required in each entry of {wanted}")
    inner = entries[key].node
    return decoder.read(inner, str, key), inner.where, entries.get("weight")


def _member(stages: StageReader, text: str, where: Where, wanted: str) -> MemberConfig:
    if wanted == "providers":
        return MemberConfig(provider=text)
    split = split_model(text)
    if split is None:
        raise stages.decoder.refuse(where, f"{quoted(text)} is no model here: write provider/model")
    return MemberConfig(provider=split[0], model=split[1])


def _share(stages: StageReader, node: Node, weight: Entry | None, strategy: Strategy, name: str, wanted: str) -> float:
    """An entry's weight, which some strategies of the dialect demand and the others refuse."""
    decoder = stages.decoder
    if weight is None:
        if strategy.weighs:
            raise decoder.refuse(node.where, f"'weight' is required: write {{{wanted[:-1]}: …, weight: 0.5}}")
        return 1.0
    if name in _STRATEGIES and not strategy.weighs:
        raise decoder.refuse(weight.where, f"{name!r} does not weigh: take the weight out")
    value = weight.node.value if isinstance(weight.node, ValueNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise decoder.refuse(weight.node.where, "'weight' must be a number above 0")
    return float(value)
