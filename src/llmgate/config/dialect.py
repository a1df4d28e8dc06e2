"""The parts of the older dialect that mean something else here, or nothing yet; each of its keys is read.

``cache`` and ``rate-limit`` stand for interceptors. Where one of that name is installed, the section is its config, and
its position is fixed: in each scope the limit first, then the cache, both before the interceptors written under
``interceptors``; ``global`` before ``unified-api`` or the router. Without such an interceptor the section is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from .decoder import UnreadableError
from .model import StageConfig
from .problems import Problems
from .quoting import quoted
from .sections import Section, read_section
from .stages import StageReader
from .stores import read_store, with_key
from .tree import MapNode, Node, ValueNode, canonical

__all__ = [
    "CACHE_STORE",
    "POLICIES",
    "RATE_STORE",
    "log_level",
    "read_policies",
    "refuse_deployment",
    "refuse_unsupported",
]

POLICIES: Final = ("rate-limit", "cache")
CACHE_STORE: Final = "cache-store"
RATE_STORE: Final = "rate-limit-store"
"""The sections, and the state stores that they stand for."""

_UNSUPPORTED: Final[Mapping[str, str]] = {
    "database": "will never be there, llmgate reads no Helicone database: take it out and write routers in this file",
    "minio": "will never be there, llmgate keeps no bodies in MinIO: take it out and use loggers",
}
_LEVELS: Final = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "off": "critical",
}
_TARGETS: Final = ("ai_gateway", "llmgate")


def read_policies(stages: StageReader, section: Section, path: str, label: str) -> Sequence[StageConfig]:
    """The interceptors that the ``rate-limit`` and ``cache`` of a scope stand for.

    Args:
        stages: What reads stages.
        section: The scope: ``global``, ``unified-api`` or a router.
        path: Its path in the key table.
        label: What to call it in messages.
    """
    found = []
    for name in POLICIES:
        node = section.nodes.get(name)
        if node is None:
            continue
        where, what = section.place(name), f"{label}.{name}"
        if name == "rate-limit":
            node = _rate_limit(stages, node, f"{path}.{name}", what)
            if node is None:
                continue
        if name == "cache" and CACHE_STORE in stages.stores and isinstance(node, MapNode) and not node.find("state"):
            node = with_key(node, "state", CACHE_STORE)
        if isinstance(node, MapNode) and stages.find("interceptors", name) is not None:
            try:
                found.append(stages.configured("interceptors", name, node, what, where))
            except UnreadableError:
                continue
        else:
            read_section(stages.decoder, node, f"{path}.{name}", what)
            stages.decoder.problems.add(where, f"{what!r} is not there yet: take it out")
    return found


def _rate_limit(stages: StageReader, node: Node, path: str, label: str) -> MapNode | None:
    """A ``rate-limit`` in the words of its interceptor: ``store`` becomes ``state``; None where it is wrong."""
    problems = stages.decoder.problems
    before = len(problems)
    written = read_section(stages.decoder, node, path, label)
    store = read_store(stages, written, "store", f"{label}.store") or (
        RATE_STORE if RATE_STORE in stages.stores else None
    )
    if not isinstance(node, MapNode):
        return None
    own = MapNode({key: entry for key, entry in node.entries.items() if canonical(key) != "store"}, node.where)
    if len(problems) > before:
        known = MapNode({key: one for key, one in own.entries.items() if canonical(key) in written.nodes}, node.where)
        with contextlib.suppress(UnreadableError):  # what else is wrong is said at once, not at the next start
            stages.configured("interceptors", "rate-limit", known, label, node.where)
        return None
    return own if store is None else with_key(own, "state", store)


def refuse_unsupported(problems: Problems, top: Section) -> None:
    """Note the sections of the dialect that do nothing here."""
    for name, sentence in _UNSUPPORTED.items():
        if name in top.nodes:
            problems.add(top.place(name), f"{name!r} {sentence}")


def refuse_deployment(stages: StageReader, top: Section) -> None:
    """Note any deployment target but the one that llmgate is."""
    node = top.nodes.get("deployment-target")
    if node is None:
        return
    if isinstance(node, MapNode):
        found = read_section(stages.decoder, node, "deployment-target", "deployment-target")
        target = found.get("type", "sidecar")
    else:
        target = node.value if isinstance(node, ValueNode) else None
    if target != "sidecar":
        sentence = "'deployment-target' can only be sidecar, cloud will never be there: take it out"
        stages.decoder.problems.add(top.place("deployment-target"), sentence)


def log_level(problems: Problems, top: Section) -> str:
    """The level of the application log: ``debug``, ``info``, ``warning``, ``error`` or ``critical``.

    The dialect takes a filter such as ``info,ai_gateway=trace``; the level of the gateway itself counts, then the bare
    one. Levels of other modules say nothing here.
    """
    telemetry = top.section("telemetry")
    level, own = "info", None
    for part in str(telemetry.get("level", "info")).split(","):
        target, equals, word = part.strip().rpartition("=")
        known = _LEVELS.get(word.strip().lower())
        if known is None:
            sentence = f"{quoted(part.strip())} is no log level: write one of {', '.join(_LEVELS)}"
            problems.add(telemetry.place("level"), sentence, word=word, known=_LEVELS)
        elif target.strip() in _TARGETS:
            own = known
        elif not equals:
            level = known
    return own or level
