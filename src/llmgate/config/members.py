"""Reads the entries of a balance: what each names, its weight, its tags, and the callers that it is kept for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from llmgate.spec import Audience

from .audiences import read_audience
from .decoder import UnreadableError
from .model import MemberConfig
from .problems import Where
from .quoting import quoted
from .sections import is_null
from .stages import StageReader
from .tags import read_tags
from .tree import Entry, MapNode, Node, ValueNode

__all__ = ["Strategy", "read_members", "split_model"]

_MOST: Final = 1000
"""Entries of one balance."""


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


def split_model(text: str) -> tuple[str, str] | None:
    """Provider and model of ``provider/model``, split at the first slash; None when the text is not of that form."""
    provider, slash, model = text.partition("/")
    return (provider, model) if slash and provider and model else None


def read_members(
    stages: StageReader,
    node: MapNode,
    strategy: Strategy,
    dialect: str,
    label: str,
    where: Where,
    named: Callable[[str, Where], None],
) -> Sequence[MemberConfig]:
    """The entries of a balance.

    Args:
        stages: What reads stages.
        node: The balance.
        strategy: What it asks for.
        dialect: The word that the dialect has for that; ``""`` where it is asked for by its own name.
        label: Where it stands, for messages.
        where: Its place.
        named: Told each provider that an entry names, and the place of it.

    Raises:
        UnreadableError: there are none; noted.
    """
    decoder = stages.decoder
    given = {key: entry for key in ("providers", "models") if (entry := node.find(key)) and not is_null(entry.node)}
    wanted = ("models" if strategy.by_model else "providers") if dialect else next(iter(given), "providers")
    for key, entry in given.items():
        if key != wanted:
            hint = f": use model-{strategy.use}" if dialect and key == "models" else ""
            decoder.problems.add(entry.where, f"{key!r} does not belong to {dialect!r}, which takes {wanted}{hint}")
    if wanted not in given:
        raise decoder.refuse(where, f"{wanted!r} is required in {label}")
    items = decoder.items_of(given[wanted].node, wanted)
    if not items:
        raise decoder.refuse(given[wanted].where, f"{wanted!r} is empty: name at least one")
    if len(items) > _MOST:
        raise decoder.refuse(given[wanted].where, f"{wanted!r} names {len(items)}: name {_MOST} at most")
    members: list[MemberConfig] = []
    said: dict[tuple[str, str | None], list[Audience | None]] = {}
    for item in items:
        with contextlib.suppress(UnreadableError):
            text, where, entries = _parts(stages, item, wanted)
            member = _member(stages, text, where, wanted)
            named(member.provider, where)
            member = attrs.evolve(
                member,
                weight=_share(stages, item, entries.get("weight"), strategy, dialect, wanted),
                tags=read_tags(decoder, entries["tags"].node, "tags") if "tags" in entries else frozenset(),
                audience=read_audience(decoder, entries["for"].node) if "for" in entries else None,
            )
            # The same, for the same callers.
            others = said.setdefault((member.provider, member.model), [])
            if member.audience in others:
                decoder.problems.add(item.where, f"{quoted(text)} is listed twice in {label}")
            others.append(member.audience)
            members.append(member)
    return tuple(members)


def _parts(stages: StageReader, node: Node, wanted: str) -> tuple[str, Where, Mapping[str, Entry]]:
    """What an entry names, the place of that, and what else it says."""
    decoder, key = stages.decoder, wanted[:-1]
    if not isinstance(node, MapNode):
        return decoder.read(node, str, key), node.where, {}
    entries = decoder.entries(node, (key, "weight", "tags", "for"), wanted)
    if key not in entries:
        raise decoder.refuse(node.where, f"{key!r} is required in each entry of {wanted}")
    inner = entries[key].node
    return decoder.read(inner, str, key), inner.where, entries


def _member(stages: StageReader, text: str, where: Where, wanted: str) -> MemberConfig:
    if wanted == "providers":
        return MemberConfig(provider=text)
    split = split_model(text)
    if split is None:
        raise stages.decoder.refuse(where, f"{quoted(text)} is no model here: write provider/model")
    return MemberConfig(provider=split[0], model=split[1])


def _share(
    stages: StageReader, node: Node, weight: Entry | None, strategy: Strategy, dialect: str, wanted: str
) -> float:
    """An entry's weight, which some strategies of the dialect demand and the others refuse."""
    decoder = stages.decoder
    if weight is None:
        if strategy.weighs:
            raise decoder.refuse(node.where, f"'weight' is required: write {{{wanted[:-1]}: …, weight: 0.5}}")
        return 1.0
    if dialect and not strategy.weighs:
        raise decoder.refuse(weight.where, f"{dialect!r} does not weigh: take the weight out")
    value = weight.node.value if isinstance(weight.node, ValueNode) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise decoder.refuse(weight.node.where, "'weight' must be a number above 0")
    return float(value)
