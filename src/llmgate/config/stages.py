"""Reads stages: ``use:`` names the class, everything beside it is structured into the class's ``config_class``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.spec import Stage

from .decoder import Decoder, UnreadableError
from .model import StageConfig
from .problems import Where
from .quoting import quoted
from .sections import is_null
from .suggest import did_you_mean
from .tree import Entry, MapNode, Node, ValueNode

__all__ = ["Find", "Names", "StageReader"]

Find: TypeAlias = Callable[[str, str], type[Stage[Any]] | None]
Names: TypeAlias = Callable[[str], Sequence[str]]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_WORDS: Final = {
    "auth": "auth provider",
    "secrets": "secret store",
    "routing": "routing strategy",
    "providers": "provider adapter",
    "interceptors": "interceptor",
    "state": "state store",
    "loggers": "logger",
    "pages": "set of pages",
    "domains": "book of domains",
}


@attrs.frozen
class StageReader:
    """Reads stages of every kind.

    Args:
        decoder: What reads values and notes problems.
        find: Gives the class of a stage by kind and name, None where there is none.
        names: Lists the stages of a kind; called for messages only, since it imports every plugin.
        stores: State stores that sections of the older dialect stand for, by name; filled while they are read.
    """

    decoder: Decoder
    find: Find
    names: Names
    stores: dict[str, StageConfig] = attrs.field(factory=dict)

    def stage_class(self, kind: str, name: str, where: Where) -> type[Stage[Any]]:
        """The class of a stage.

        Raises:
            UnreadableError: there is none; noted with what there is.
        """
        found = self.find(kind, name)
        if found is not None:
            return found
        known = sorted(self.names(kind))
        listed = f": there are {', '.join(known)}" if known else ""
        sentence = f"no {_WORDS[kind]} is called {quoted(name)}{listed}{did_you_mean(name, known)}"
        raise self.decoder.refuse(where, sentence)

    def configured(self, kind: str, name: str, node: MapNode, label: str, where: Where) -> StageConfig:
        """The stage of that name, with a mapping's keys but ``use`` as its config.

        Raises:
            UnreadableError: there is no such stage, or its config is wrong; noted.
        """
        stage = self.stage_class(kind, name, where)
        config = self.decoder.read_class(node, stage.config_class, within=f"{_WORDS[kind]} {name!r}", skipped=("use",))
        return StageConfig(id=label, use=name, config=config)

    def stage(self, kind: str, node: Node, label: str, *, default: str = "") -> StageConfig:
        """A stage as ``{use: name, …}`` or as its bare name.

        Args:
            kind: The kind of stage.
            node: What was written.
            label: Where it stands, for messages and notes.
            default: The stage meant where ``use`` is missing; ``""`` when it must be there.

        Raises:
            UnreadableError: it cannot be read; noted.
        """
        if isinstance(node, ValueNode) and isinstance(node.value, str):
            return self.configured(kind, node.value, MapNode({}, node.where), label, node.where)
        if not isinstance(node, MapNode):
            raise self.decoder.refuse(node.where, f"{label} must be the name of a stage, or a mapping with use: name")
        use = node.entries.get("use")
        if use is None or is_null(use.node):
            if not default:
                raise self.decoder.refuse(node.where, f"'use' is required in {label}: it names the {_WORDS[kind]}")
            return self.configured(kind, default, node, label, node.where)
        return self.configured(kind, self.decoder.read(use.node, str, "use"), node, label, use.node.where)

    def listed(self, kind: str, node: Node | None, label: str) -> tuple[StageConfig, ...]:
        """A list of stages, in written order; those that cannot be read are noted and left out."""
        if node is None or is_null(node):
            return ()
        found = []
        with contextlib.suppress(UnreadableError):
            for index, item in enumerate(self.decoder.items_of(node, label)):
                with contextlib.suppress(UnreadableError):
                    found.append(self.stage(kind, item, f"{label}[{index}]"))
        return tuple(found)

    def named(self, kind: str, node: Node | None, label: str, defaults: Sequence[str]) -> Mapping[str, StageConfig]:
        """Stages by name: those that are always there, and those that were written, which win."""
        found: dict[str, StageConfig] = {}
        written = node if isinstance(node, MapNode) else MapNode({}, Where(label))
        if node is not None and not isinstance(node, MapNode) and not is_null(node):
            self.decoder.problems.add(node.where, f"{label!r} must be a mapping of names")
        for name in defaults:
            if name not in written.entries and self.find(kind, name) is not None:
                found[name] = self.configured(kind, name, MapNode({}, written.where), f"{label}.{name}", written.where)
        for entry in written:
            if not _NAME.fullmatch(entry.key):
                sentence = (
                    f"{quoted(entry.key)} is no name of a {_WORDS[kind]}: a letter, then letters, digits, '_', '-'"
                )
                self.decoder.problems.add(entry.where, sentence)
                continue
            inner = MapNode({}, entry.where) if is_null(entry.node) else entry.node
            with contextlib.suppress(UnreadableError):
                default = entry.key if self._names_itself(kind, entry) else ""
                found[entry.key] = self.stage(kind, inner, f"{label}.{entry.key}", default=default)
        return found

    def _names_itself(self, kind: str, entry: Entry) -> bool:
        """Whether a named stage needs no ``use``, as its name is that of a stage."""
        written = entry.node.entries.get("use") if isinstance(entry.node, MapNode) else None
        return written is None and self.find(kind, entry.key) is not None
