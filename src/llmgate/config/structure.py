"""Turns the positioned tree into a ``GatewayConfig``, section by section; problems are noted, none is raised here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from llmgate.spec import Timeouts

from .control_plane import helicone_warnings, read_auth, read_helicone_logger
from .decoder import Decoder, UnreadableError
from .dialect import (
    CACHE_STORE,
    RATE_STORE,
    log_level,
    read_policies,
    refuse_deployment,
    refuse_unsupported,
)
from .egress import EgressConfig
from .health import read_health
from .larger_models import read_larger_models
from .model import GatewayConfig, ModelListsConfig, ServerConfig, SessionConfig, StageConfig, StreamConfig
from .prices import read_prices_section
from .problems import Problems
from .providers import ProviderReader
from .quoting import quoted
from .recording import read_records
from .retries import read_cool_down, read_resilience, read_retries
from .routers import RouterReader, read_mapping_of_models, read_model_audiences
from .sections import Section, is_null, read_section
from .stages import Find, Names, StageReader
from .stores import read_store
from .tags import read_tags
from .targets import Targeting, read_egress, read_targets
from .telemetry import read_telemetry, telemetry_warnings
from .tls import read_tls
from .tree import Entry, MapNode, Node
from .unsupported import UNSUPPORTED, read_unsupported

__all__ = ["structured"]

T = TypeVar("T")

_ADDRESS: Final = re.compile(r"[A-Za-z0-9:_.-]{1,253}")
_SECRET_STORES: Final = ("env", "file")
_STATE_STORES: Final = ("memory",)
_RAW: Final = ("deployment-target", "egress", "global", "target-urls", "timeouts", "stream", "sessions", "model-lists",
               "prices", "server", "unified-api", UNSUPPORTED)  # fmt: skip


def structured(
    tree: Node,
    problems: Problems,
    *,
    environment: Mapping[str, str],
    find: Find,
    names: Names,
    directory: Path,
    source: str,
    warnings: Sequence[str] = (),
) -> GatewayConfig:
    """The configuration that a tree says.

    Args:
        tree: What was written, variables laid over it.
        problems: Where to note what is wrong; the result means nothing when anything is.
        environment: Environment variables, ``.env`` included.
        find: Gives the class of a stage by kind and name.
        names: Lists the stages of a kind.
        directory: What relative paths are relative to.
        source: What was read, for people.
        warnings: What the reading itself found worth saying.
    """
    stages = StageReader(decoder := Decoder(problems, _store_names(tree)), find, names)
    top = read_section(decoder, tree, "", "the configuration", raw=_RAW)
    scope = _scopes(decoder, top)
    read_store(stages, top, RATE_STORE, RATE_STORE)
    read_store(stages, top, CACHE_STORE, CACHE_STORE)
    timeouts = _timeouts(decoder, top)
    secrets = stages.named("secrets", top.nodes.get("secrets"), "secrets", _SECRET_STORES)
    written = _entries(decoder, top, "providers")
    provider_reader = ProviderReader(stages, environment, timeouts, written, _prefixes(secrets))
    providers = provider_reader.configured()
    router_reader = RouterReader(stages, provider_reader, providers, top.section("discover"))
    routers = router_reader.read_all(top.nodes.get("routers"))
    providers.update(provider_reader.discovered({*providers, *provider_reader.written}))
    if not providers and not provider_reader.written:
        providers.update(provider_reader.embedded())
    shared = _interceptors(stages, scope["global"], "global", top, "interceptors")
    targeting = read_targets(stages, top)
    api = scope["unified-api"]
    unified = _interceptors(stages, api, "unified-api", api, "unified-api.interceptors")
    return GatewayConfig(
        providers=providers,
        routers=routers,
        **_own_names(stages, top, providers),
        auth=read_auth(stages, top),
        secrets=secrets,
        state=(stores := {**stages.stores, **stages.named("state", top.nodes.get("state"), "state", _STATE_STORES)}),
        interceptors=shared,
        unified_interceptors=(*targeting.chain, *unified),
        health=read_health(stages, top, stores),
        **_extra_attempts(stages, scope, router_reader),
        unsupported=read_unsupported(decoder, top),
        model_mapping=read_mapping_of_models(stages, top, "default-model-mapping", providers),
        timeouts=timeouts,
        stream=_class(decoder, top, "stream", StreamConfig) or StreamConfig(),
        sessions=_class(decoder, top, "sessions", SessionConfig) or SessionConfig(),
        **_own_account(stages, top),
        model_lists=_class(decoder, top, "model-lists", ModelListsConfig) or ModelListsConfig(),
        prices=read_prices_section(stages, top, directory),
        **_edges(decoder, top, targeting),
        **_told(top.section("response-headers")),
        blocked_plugins=top.section("plugins").get("block", ()),
        warnings=(*warnings, *_refusals(stages, top), *provider_reader.warnings.values()),
        directory=directory,
        source=source,
    )


def _own_account(stages: StageReader, top: Section) -> Mapping[str, Any]:
    """The fields of the configuration that say what the gateway tells of itself."""
    loggers = stages.listed("loggers", top.nodes.get("loggers"), "loggers")
    return {
        "loggers": (*loggers, *read_helicone_logger(stages, top, loggers)),
        "pages": stages.listed("pages", top.nodes.get("pages"), "pages"),
        "telemetry": read_telemetry(stages, top),
        "records": read_records(stages, top),
        "log_level": log_level(stages.decoder.problems, top),
        "log_format": top.section("telemetry").get("format", "pretty"),
    }


def _interceptors(
    stages: StageReader, scope: Section, path: str, listing: Section, label: str
) -> tuple[StageConfig, ...]:
    """The interceptors of a scope: what its ``rate-limit`` and ``cache`` stand for, then those it lists."""
    return (
        *read_policies(stages, scope, path, path),
        *stages.listed("interceptors", listing.nodes.get("interceptors"), label),
    )


def _store_names(tree: Node) -> Sequence[str]:
    """The names that references may use; needed before anything is read, since any stage may hold a reference."""
    entry = tree.find("secrets") if isinstance(tree, MapNode) else None
    written = entry.node.entries if entry is not None and isinstance(entry.node, MapNode) else {}
    return (*_SECRET_STORES, *written)


def _prefixes(secrets: Mapping[str, StageConfig]) -> Mapping[str, str]:
    """What each secret store that reads environment variables puts before a name."""
    return {name: getattr(stage.config, "prefix", "") for name, stage in secrets.items() if stage.use == "env"}


def _scopes(decoder: Decoder, top: Section) -> Mapping[str, Section]:
    raw = ("cache", "rate-limit", "interceptors")
    return {
        name: read_section(decoder, top.nodes[name], name, name, raw=raw) if name in top.nodes else Section(top.where)
        for name in ("global", "unified-api")
    }


def _own_names(stages: StageReader, top: Section, known: Collection[str]) -> dict[str, Any]:
    """The fields that say what the operator's own names of models stand for, and for whom."""
    return {
        "models": read_mapping_of_models(stages, top, "models", known) or {},
        "model_audiences": read_model_audiences(stages, top),
    }


def _told(section: Section) -> dict[str, Any]:
    """The fields that say what answers tell of themselves."""
    return {
        "provider_header": section.get("provider", True),
        "provider_request_id_header": section.get("provider-request-id", True),
        "cost_header": section.get("cost", True),
    }


def _extra_attempts(stages: StageReader, scope: Mapping[str, Section], routers: RouterReader) -> dict[str, Any]:
    """The fields that say when a request is sent again, and where, of the gateway and of the unified API."""
    return {
        "unified_required_tags": read_tags(
            stages.decoder, scope["unified-api"].nodes.get("required-tags"), "required-tags"
        ),
        "unified_larger_models": read_larger_models(stages, scope["unified-api"], routers.name),
        "retries": read_retries(stages, scope["global"]),
        "unified_retries": read_retries(stages, scope["unified-api"]),
        "resilience": read_resilience(stages, scope["global"]),
        "unified_resilience": read_resilience(stages, scope["unified-api"]),
        "credential_cool_down": read_cool_down(stages, scope["global"]),
    }


def _entries(decoder: Decoder, top: Section, key: str) -> Mapping[str, Entry]:
    node = top.nodes.get(key)
    if node is None:
        return {}
    if not isinstance(node, MapNode):
        decoder.problems.add(node.where, f"{key!r} must be a mapping of names")
        return {}
    return node.entries


def _class(decoder: Decoder, top: Section, key: str, cls: type[T], skipped: Sequence[str] = ()) -> T | None:
    """A section that is an attrs class; None when it is absent or wrong."""
    node = top.nodes.get(key)
    if node is None:
        return None
    if not isinstance(node, MapNode):
        decoder.problems.add(node.where, f"{key!r} must be a mapping of settings")
        return None
    with contextlib.suppress(UnreadableError):
        return decoder.read_class(node, cls, within=key, skipped=skipped)
    return None


def _timeouts(decoder: Decoder, top: Section) -> Timeouts:
    """``timeouts``, and below it ``dispatcher``, which says the same in the words of the dialect."""
    given = _class(decoder, top, "timeouts", Timeouts)
    node = top.nodes.get("timeouts")
    written: dict[str, Any] = {}
    dispatcher = top.section("dispatcher")
    for key, field in (("timeout", "total"), ("connection-timeout", "connect")):
        entry = node.find(field) if isinstance(node, MapNode) else None
        value = dispatcher.get(key)
        if value is None or (entry is not None and not is_null(entry.node)):
            continue
        if value <= 0:
            decoder.problems.add(dispatcher.place(key), f"{key!r} must be more than 0")
        written[field] = value
    return attrs.evolve(given or Timeouts(), **written)


def _edges(decoder: Decoder, top: Section, targeting: Targeting) -> dict[str, Any]:
    """The fields of the way in and of the way out."""
    egress = read_egress(decoder, _class(decoder, top, "egress", EgressConfig), top)
    return {"server": _server(decoder, top), "egress": egress, "targets": targeting.rules, "domains": targeting.book}


def _server(decoder: Decoder, top: Section) -> ServerConfig:
    node = top.nodes.get("server")
    given = node.find("tls") if isinstance(node, MapNode) else None
    tls = None if given is None else read_tls(decoder, given.node)
    server = _class(decoder, top, "server", ServerConfig, skipped=("tls",)) or ServerConfig()
    server = attrs.evolve(server, tls=tls)
    if not _ADDRESS.fullmatch(server.address):
        entry = node.find("address") if isinstance(node, MapNode) else None
        where = entry.where if entry is not None else top.place("server")
        decoder.problems.add(where, f"{quoted(server.address)} is no address to listen on: write 127.0.0.1 or 0.0.0.0")
    return server


def _refusals(stages: StageReader, top: Section) -> Sequence[str]:
    """Note what is asked for and not there; returns warnings."""
    problems = stages.decoder.problems
    refuse_unsupported(problems, top)
    refuse_deployment(stages, top)
    return (*helicone_warnings(stages, top), *telemetry_warnings(top))
