"""Reads routers, and the model mappings that they and the gateway have."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from llmgate.catalogue import provider_row, provider_rows
from llmgate.spec import Audience, Operation

from .audiences import read_audience
from .balances import read_balance
from .decoder import UnreadableError
from .dialect import read_policies
from .larger_models import read_larger_models
from .members import split_model
from .model import BalanceConfig, ProviderConfig, RouterConfig
from .problems import Where
from .providers import ProviderReader
from .quoting import quoted
from .retries import read_resilience, read_retries
from .sections import Section, is_null, read_section
from .stages import StageReader
from .suggest import did_you_mean
from .tags import read_tags
from .tree import Entry, ListNode, MapNode, Node, ValueNode
from .unsupported import UNSUPPORTED, read_unsupported

__all__ = ["RouterReader", "read_mapping_of_models", "read_model_audiences"]

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PATH: Final = "routers.<router>"
_OPERATIONS: Final = ("chat", "image", "audio")
_DEFAULT_PROVIDERS: Final = ("openai", "anthropic", "gemini")
"""What the dialect spreads over where a router does not say."""


@attrs.define
class RouterReader:
    """Reads routers; providers that only they name are added to ``providers``.

    Args:
        stages: What reads stages.
        reader: What reads providers.
        providers: The gateway's providers by name.
        discover: The ``discover`` section.
    """

    stages: StageReader
    reader: ProviderReader
    providers: dict[str, ProviderConfig]
    discover: Section

    def read_all(self, node: Node | None) -> Mapping[str, RouterConfig]:
        """Every router, by id."""
        problems = self.stages.decoder.problems
        found: dict[str, RouterConfig] = {}
        if node is None or is_null(node):
            return found
        if not isinstance(node, MapNode):
            problems.add(node.where, "'routers' must be a mapping of names")
            return found
        for entry in node:
            if not _ID.fullmatch(entry.key):
                sentence = f"{quoted(entry.key)} is no name of a router: 1 to 64 letters, digits, '_' and '-'"
                problems.add(entry.where, sentence)
            else:
                found[entry.key] = self._router(entry)
        return found

    def _router(self, entry: Entry) -> RouterConfig:
        label = f"routers.{entry.key}"
        section = read_section(
            self.stages.decoder,
            entry.node,
            _PATH,
            label,
            raw=(
                *("load-balance", "model-mappings", "providers", "cache", "rate-limit", "interceptors", "timeouts"),
                UNSUPPORTED,
            ),
        )
        providers = self.reader.overridden(section.nodes.get("providers"), f"{label}.providers")
        written = section.nodes.get("providers")
        local = set(written.entries) if isinstance(written, MapNode) else set()
        balances = self._balances(section, entry.where, label, local)
        known = {*self.providers, *self.reader.written, *local}
        return RouterConfig(
            id=entry.key,
            balances=balances,
            model_mappings=read_mapping_of_models(self.stages, section, "model-mappings", known),
            providers=providers,
            retries=read_retries(self.stages, section),
            timeouts=self.reader.read_timeouts(section),
            resilience=read_resilience(self.stages, section),
            required_tags=read_tags(self.stages.decoder, section.nodes.get("required-tags"), "required-tags"),
            larger_models=read_larger_models(self.stages, section, lambda name, at: self.name(name, at, local)),
            unsupported=read_unsupported(self.stages.decoder, section),
            interceptors=(
                *read_policies(self.stages, section, _PATH, label),
                *self.stages.listed("interceptors", section.nodes.get("interceptors"), f"{label}.interceptors"),
            ),
        )

    def _balances(
        self, section: Section, where: Where, label: str, local: Collection[str]
    ) -> Mapping[str, BalanceConfig]:
        node = section.nodes.get("load-balance")
        label = f"{label}.load-balance"
        if node is None:
            node = _default_balance(section.place("load-balance") if "load-balance" in section.places else where)
        entries = read_section(self.stages.decoder, node, f"{_PATH}.load-balance", label, raw=_OPERATIONS)
        found: dict[str, BalanceConfig] = {}
        for operation, inner in entries.nodes.items():
            place = entries.place(operation)
            with contextlib.suppress(UnreadableError):
                balance = read_balance(
                    self.stages,
                    inner,
                    f"{label}.{operation}",
                    place,
                    discover=self.discover,
                    named=lambda name, where: self.name(name, where, local),
                )
                found[operation] = _identified(balance, f"{label.removesuffix('.load-balance')}.{operation}")
            if operation not in set(Operation):
                self.stages.decoder.problems.add(place, f"'load-balance.{operation}' is not there yet: take it out")
        if not entries.nodes and isinstance(node, MapNode) and not node.entries:
            self.stages.decoder.problems.add(
                node.where, f"{label} is empty: write chat with a strategy and its providers"
            )
        return found

    def name(self, name: str, where: Where, local: Collection[str] = ()) -> None:
        """See that a provider can be used, and take it in when only the catalogue describes it.

        Args:
            name: What an entry calls it.
            where: The place of that.
            local: Providers that the router itself describes.
        """
        self._refuse_relay_only(name, where, local)
        if name in self.providers or name in self.reader.written or name in local:
            return
        with contextlib.suppress(UnreadableError):
            self.providers[name] = self.reader.implied(name, where)

    def _refuse_relay_only(self, name: str, where: Where, local: Collection[str]) -> None:
        """A router asks in a wire format; a relay-only row speaks none that is known here."""
        config = self.providers.get(name)
        row = provider_row(config.row) if config is not None and config.row else provider_row(name)
        if row is not None and row.relay_only and (config is None or config.row) and name not in local:
            sentence = (
                f"{row.title} cannot be part of a router yet, it has no wire format that llmgate speaks: take it out"
            )
            self.stages.decoder.problems.add(where, sentence)


def read_mapping_of_models(
    stages: StageReader, section: Section, key: str, known: Collection[str]
) -> Mapping[str, Sequence[str]] | None:
    """A model mapping: for a model asked for, one ``provider/model`` or a list of them.

    Args:
        stages: What reads stages.
        section: The section that it stands in.
        key: Its key.
        known: Providers that the configuration names, beside those of the catalogue.

    Returns:
        The mapping; None when it is absent.
    """
    node = section.nodes.get(key)
    if node is None:
        return None
    if not isinstance(node, MapNode):
        stages.decoder.problems.add(node.where, f"{key!r} must be a mapping of models")
        return None
    return {entry.key: _equivalents(stages, entry, known) for entry in node}


def _equivalents(stages: StageReader, entry: Entry, known: Collection[str]) -> tuple[str, ...]:
    problems = stages.decoder.problems
    node = entry.node
    items: Collection[Node] = (node,) if isinstance(node, ValueNode) and not node.variable else ()
    with contextlib.suppress(UnreadableError):
        items = items or stages.decoder.items_of(node, entry.key)
        if not items:
            problems.add(entry.where, f"{quoted(entry.key)} is mapped to nothing: name at least one provider/model")
    found = []
    for item in items:
        with contextlib.suppress(UnreadableError):
            text = stages.decoder.read(_model_in(item), str, entry.key)
            split = split_model(text)
            if split is None:
                problems.add(item.where, f"{quoted(text)} is no model here: write provider/model")
            elif split[0] not in known and provider_row(split[0]) is None:
                hint = did_you_mean(split[0], [*known, *provider_rows()])
                problems.add(item.where, f"no provider is called {quoted(split[0])}{hint}")
            found.append(text)
    return tuple(found)


def _model_in(item: Node) -> Node:
    """What names the model: the entry itself, or its ``model``."""
    inner = item.find("model") if isinstance(item, MapNode) else None
    return item if inner is None else inner.node


def read_model_audiences(stages: StageReader, section: Section) -> Mapping[str, Sequence[Audience | None]]:
    """For the names under ``models`` of which some models are kept for some callers, whom each is kept for.

    Args:
        stages: What reads stages.
        section: The whole configuration.
    """
    node = section.nodes.get("models")
    found: dict[str, Sequence[Audience | None]] = {}
    for entry in node if isinstance(node, MapNode) else ():
        items = entry.node.items if isinstance(entry.node, ListNode) else ()
        if any(isinstance(item, MapNode) for item in items):
            found[entry.key] = [_audience_of(stages, item) for item in items]
    return found


def _audience_of(stages: StageReader, item: Node) -> Audience | None:
    if not isinstance(item, MapNode):
        return None
    with contextlib.suppress(UnreadableError):
        entries = stages.decoder.entries(item, ("model", "for"), "models")
        if "for" in entries:
            return read_audience(stages.decoder, entries["for"].node)
    return None


def _identified(balance: BalanceConfig, identity: str) -> BalanceConfig:
    """The balance with the id that notes and messages use, shorter than its path in the file."""
    return attrs.evolve(balance, strategy=attrs.evolve(balance.strategy, id=identity))


def _default_balance(where: Where) -> MapNode:
    """``chat: {strategy: latency, providers: [openai, anthropic, gemini]}``, as if it had been written."""
    providers = ListNode(tuple(ValueNode(name, name, where) for name in _DEFAULT_PROVIDERS), where)
    strategy = ValueNode("latency", "latency", where)
    balance = {"strategy": Entry("strategy", strategy, where), "providers": Entry("providers", providers, where)}
    return MapNode({"chat": Entry("chat", MapNode(balance, where), where)}, where)
