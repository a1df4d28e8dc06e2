"""Helicone's platform in the words of the older dialect: ``helicone`` and ``control-plane`` as stages.

``helicone.authentication: true`` and ``helicone.features: auth`` ask clients for a key. Where ``auth`` says whose keys
are good, that is all they do; where it says nothing, keys come from the control plane that ``helicone`` names.
``features: observability`` asks for keys and has records told to Helicone, ``features: all`` does as much.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .decoder import UnreadableError
from .model import StageConfig
from .problems import Problems, Where
from .sections import Section
from .stages import StageReader
from .tree import Entry, ListNode, MapNode, Node, ValueNode

__all__ = ["helicone_warnings", "read_auth", "read_helicone_logger"]

STAGE: Final = "control-plane"
PLUGIN: Final = "llmgate-control-plane"
LOGGER: Final = "helicone"
LOGGER_PLUGIN: Final = "llmgate-helicone"
CREDENTIAL: Final = "env:HELICONE_CONTROL_PLANE_API_KEY"
"""The one key that the dialect has for the platform: keys are asked for and records are told with it."""
_TRACES: Final = "/v1/trace"
"""Below which a Helicone of one's own takes records, on the server that is its control plane as well."""
_PATH: Final = "/ws/v1/router/control-plane"
"""Where Helicone's control plane takes WebSockets, below its base address."""
_VARIABLE: Final = "environment variable "
_HELICONES: Final = "wss://api.helicone.ai/"
_SCHEMES: Final = {"https": "wss", "http": "ws"}


def read_auth(stages: StageReader, top: Section) -> tuple[StageConfig, ...]:
    """The auth providers: those of ``auth``, or else what ``helicone`` stands for.

    Args:
        stages: What reads stages and notes problems.
        top: The whole configuration.
    """
    problems = stages.decoder.problems
    auth = stages.listed("auth", top.nodes.get("auth"), "auth")
    found = _asked(problems, top)
    uses = _uses(top.nodes.get("auth"))
    if found is None or uses:
        if found is not None and "anonymous" in uses:
            what, where = found
            problems.add(
                where, f"{what} asks clients for a key, and auth lets anybody in: take anonymous out, or write false"
            )
        _refuse_idle(problems, top, STAGE in uses)
        return auth
    what, where = found
    if stages.find("auth", STAGE) is None:
        problems.add(
            where,
            f"{what} asks clients for a key: install what asks the control plane about it (pip install {PLUGIN}), or "
            "write under auth whose keys are good, for example auth: [{use: static-keys, …}]",
        )
        return auth
    with contextlib.suppress(UnreadableError):
        node = MapNode({entry.key: entry for entry in _entries(problems, top)}, where)
        return (stages.configured("auth", STAGE, node, "auth[0]", where),)
    return auth


def _asked(problems: Problems, top: Section) -> tuple[str, Where] | None:
    """What asks clients for a key, and where; what else is asked for and not there is noted."""
    helicone = top.section("helicone")
    features = helicone.get("features")
    if features in ("auth", "all", "observability"):
        return f"'helicone.features: {features}'", helicone.place("features")
    if features not in (None, "none"):
        sentence = f"helicone feature {features!r} is not there yet: write auth, or observability for records as well"
        problems.add(helicone.place("features"), sentence)
    if features is not None:
        return None
    if helicone.get("__prompts"):
        problems.add(helicone.place("__prompts"), "'helicone.__prompts' is not there yet: write false")
    for name in ("authentication", "observability"):
        if helicone.get(name):
            return f"'helicone.{name}'", helicone.place(name)
    return None


def read_helicone_logger(stages: StageReader, top: Section, loggers: Sequence[StageConfig]) -> tuple[StageConfig, ...]:
    """The logger that ``helicone`` stands for where records are to be told there.

    Args:
        stages: What reads stages and notes problems.
        top: The whole configuration.
        loggers: Those that are written; where one of them tells Helicone, none is added.
    """
    wish = _telling(top.section("helicone"))
    if wish is None or any(one.use == LOGGER for one in loggers):
        return ()
    what, where = wish
    if stages.find("loggers", LOGGER) is None:
        if top.section("helicone").get("features") != "all":  # that is warned of, since it asks for keys as well
            sentence = f"tells Helicone of requests: pip install {LOGGER_PLUGIN}, or write auth and use other loggers"
            stages.decoder.problems.add(where, f"{what} {sentence}")
        return ()
    with contextlib.suppress(UnreadableError):
        entries = {one.key: one for one in _logger_entries(stages.decoder.problems, top.section("helicone"), where)}
        return (stages.configured("loggers", LOGGER, MapNode(entries, where), "helicone.features", where),)
    return ()


def helicone_warnings(stages: StageReader, top: Section) -> Sequence[str]:
    """What ``features: all`` asks for and does not get."""
    if top.section("helicone").get("features") != "all":
        return ()
    where = top.section("helicone").place("features")
    if stages.find("loggers", LOGGER) is None:
        does = f"no records and no prompts go to Helicone: pip install {LOGGER_PLUGIN} for records, or write auth"
    else:
        does = "Helicone is told of requests; prompts that are kept there are not used: write observability"
    return (f"{where}: 'helicone.features: all' asks clients for keys; {does}",)


def _telling(helicone: Section) -> tuple[str, Where] | None:
    """What asks for records to be told to Helicone, and where."""
    features = helicone.get("features")
    if features in ("all", "observability"):
        return f"'helicone.features: {features}'", helicone.place("features")
    if features is None and helicone.get("observability"):
        return "'helicone.observability'", helicone.place("observability")
    return None


def _logger_entries(problems: Problems, helicone: Section, where: Where) -> Sequence[Entry]:
    """The keys of the logger: records go where keys come from, and nowhere else."""
    secret = helicone.nodes.get("api-key")
    node = ValueNode(CREDENTIAL, CREDENTIAL, where) if secret is None else _reference(secret)
    found = [Entry("api-key", node, node.where)]
    base = _origin(problems, helicone)
    if base is not None:
        parts, place = base
        text = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{_TRACES}"
        found.append(Entry("url", ValueNode(text, text, place), place))
    elif "websocket-url" in helicone.nodes and not str(helicone.get("websocket-url")).startswith(_HELICONES):
        sentence = (
            "keys come from a Helicone of your own: write helicone.base-url, so that its records go there as well"
        )
        problems.add(where, sentence)
        raise UnreadableError
    return found


def _refuse_idle(problems: Problems, top: Section, named: bool) -> None:
    """Note a ``control-plane`` that rules no connection."""
    if STAGE not in top.nodes:
        return
    remedy = "write its times beside use: control-plane, under auth" if named else "write helicone.authentication: true"
    sentence = "says how the connection to a control plane is made again, and there is none by that name"
    problems.add(top.place(STAGE), f"{STAGE!r} {sentence}: {remedy}, or take it out")


def _entries(problems: Problems, top: Section) -> Sequence[Entry]:
    """The keys of the auth provider that the two sections stand for."""
    helicone = top.section("helicone")
    found = []
    url = helicone.nodes.get("websocket-url") or _derived(problems, helicone)
    if url is not None:
        found.append(Entry("url", url, url.where))
    secret = helicone.nodes.get("api-key")
    if secret is not None:
        found.append(Entry("credential", _reference(secret), secret.where))
    retry = top.section(STAGE).section("retry")
    constant = retry.get("strategy", "exponential") == "constant"
    for key, wanted in (("delay", ("min-delay", "max-delay")),) if constant else _GROWING:
        node = retry.nodes.get(key)
        if node is not None:
            found.extend(Entry(one, node, node.where) for one in wanted)
    return found


_GROWING: Final = (("min-delay", ("min-delay",)), ("max-delay", ("max-delay",)), ("factor", ("factor",)))


def _derived(problems: Problems, helicone: Section) -> ValueNode | None:
    """The address of the WebSocket at a base address of the operator's own; None where that is Helicone's."""
    base = _origin(problems, helicone)
    if base is None:
        return None
    parts, where = base
    text = f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}{_PATH}"
    return ValueNode(text, text, where)


def _origin(problems: Problems, helicone: Section) -> tuple[SplitResult, Where] | None:
    """The base address of the operator's own, and where it is written; None for none.

    Raises:
        UnreadableError: it is no address; noted.
    """
    node = helicone.nodes.get("base-url")
    if not isinstance(node, ValueNode):
        return None
    try:
        parts = urlsplit(str(helicone.get("base-url")).strip())
        known = parts.scheme in _SCHEMES and parts.hostname
    except ValueError:
        known = None
    if not known or parts.query or parts.fragment:
        problems.add(
            node.where, "'helicone.base-url' is no address: write https://HOST, or websocket-url: wss://HOST/…"
        )
        raise UnreadableError
    return parts, node.where


def _reference(node: Node) -> Node:
    """A key that an environment variable holds, as the reference to it; anything else as it is."""
    source = node.where.source
    if not isinstance(node, ValueNode) or not node.variable or not source.startswith(_VARIABLE):
        return node
    if node.text.startswith(("env:", "file:")):
        return node
    text = f"env:{source.removeprefix(_VARIABLE)}"
    return ValueNode(text, text, node.where)


def _uses(auth: Node | None) -> Sequence[str]:
    """What the entries of ``auth`` name."""
    return [_use_of(one) for one in auth.items] if isinstance(auth, ListNode) else []


def _use_of(node: Node) -> str:
    if isinstance(node, ValueNode):
        return node.text
    entry = node.find("use") if isinstance(node, MapNode) else None
    return entry.node.text if entry is not None and isinstance(entry.node, ValueNode) else ""
