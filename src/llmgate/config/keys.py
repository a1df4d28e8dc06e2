"""Every key of the configuration as data: the one list that reading, the JSON Schema and the documentation rest on.

A path names a key below its section (``server.port``); ``<router>``, ``<provider>``, ``<name>``, ``<model>``,
``<parameter>``, ``<priced>`` and ``<header>`` stand for names of the operator's own. Where a section is an attrs class,
its fields are the keys and its docstring says what they mean.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import Timeouts

from .durations import written
from .egress import EgressConfig
from .meanings import key_of, meanings, says_seconds, settable
from .model import ModelListsConfig, ServerConfig, SessionConfig, StreamConfig

__all__ = ["Key", "Status", "children", "key_table"]


class Status(enum.StrEnum):
    """Whether a key does something."""

    WORKS = "works"
    NOT_YET = "not yet"
    NEVER = "never"


@attrs.frozen
class Key:
    """One key.

    Args:
        path: Where it stands.
        type: What it takes: text, switch, count, number, duration, list, section, names, ``a|b`` for one of these
            words, ``stage:kind`` for a stage, ``stages:kind`` for a list of them, ``reference`` for a secret reference.
        default: What holds without it, in the words of the file; ``""`` for nothing.
        meaning: One line.
        status: Whether it does something.
    """

    path: str
    type: str
    default: str
    meaning: str
    status: Status = Status.WORKS


_CACHE: Final = (
    ("cache", "section", "", "Answers kept and given again"),
    ("cache.directive", "text", "", "Cache-Control text that rules the cache"),
    ("cache.buckets", "count", "1", "How many different answers are kept for one request"),
    ("cache.seed", "text", "", "Keeps the answers of different seeds apart"),
    ("cache.enabled", "switch", "true", "Whether requests use it that do not say"),
    ("cache.shared", "switch", "false", "Whether callers get each other's answers"),
    ("cache.ignore-keys", "list", "", "Fields at the top of a body that two equal requests may differ in"),
    ("cache.state", "text", "cache-store, else memory", "The state store that keeps the answers"),
    ("cache.max-age", "duration", "7d", "Time for which an answer is fresh where nothing else says so"),
    ("cache.longest-age", "duration", "365d", "Upper bound of the time for which an answer is kept"),
    ("cache.max-entry-size", "count", "4194304", "Bytes above which an answer is not kept"),
    ("cache.wait", "duration", "30s", "Time that a request waits for an equal one that is on its way"),
    ("cache.store-timeout", "duration", "500ms", "Time that the store may take; then it is a miss"),
    ("cache.store-pause", "duration", "5s", "Time for which a store that has failed is left alone"),
)
_LIMIT: Final = (
    ("rate-limit", "section", "", "How much a caller may ask for"),
    ("rate-limit.store", "section", "", "The store of this limit, in place of rate-limit-store"),
    ("rate-limit.store.type", "in-memory|redis", "", "The kind of store; redis comes with llmgate-redis"),
    ("rate-limit.store.host-url", "text", "redis://localhost:6379", "redis: its address, which holds no password"),
    ("rate-limit.store.connection-timeout", "duration", "1s", "redis: time to connect at the start"),
    (
        "rate-limit.on-failure",
        "deny|allow|local-share",
        "deny",
        "What becomes of requests while the store does not answer",
    ),
    ("rate-limit.per-api-key", "section", "", "The limit of each API key"),
    ("rate-limit.per-api-key.capacity", "count", "500", "Requests that may come at once"),
    ("rate-limit.per-api-key.refill-frequency", "duration", "1s", "Time in which the whole capacity comes back"),
)
_RETRIES: Final = (
    ("retries", "section", "", "How often and when an attempt is repeated; without it, never"),
    ("retries.strategy", "exponential|constant", "exponential", "Whether the wait grows"),
    ("retries.min-delay", "duration", "1s", "exponential: the wait before the first repeat"),
    ("retries.max-delay", "duration", "30s", "exponential: the longest wait"),
    ("retries.factor", "number", "2", "exponential: by how much the wait grows"),
    ("retries.delay", "duration", "1s", "constant: the wait before each repeat"),
    ("retries.max-retries", "count", "2", "Repeats after the first try of every candidate"),
)
_RESILIENCE: Final = (
    ("retry-budget", "section", "", "How many attempts beyond the first of each request may be made, all together"),
    ("retry-budget.ratio", "number", "0.2", "Extra attempts for each request that has come within the window"),
    ("retry-budget.floor", "count", "10", "Extra attempts within the window beside those, for quiet times"),
    ("retry-budget.window", "duration", "10s", "Time that is looked back"),
    ("resend-unknown", "switch", "true", "Whether a request that was lost after it was sent may be sent again"),
    ("on-disconnect", "cancel|drain", "cancel", "What becomes of the provider's answer when the caller leaves"),
    (
        "hedge-after",
        "duration",
        "",
        "Time without content after which another deployment is asked beside the first; without it, never",
    ),
    ("allow-caller-keys", "switch", "false", "Whether callers may bring their own key at a provider"),
)
_POLICIES: Final = "default|report|adjust|refuse"
_UNSUPPORTED: Final = (
    ("unsupported-parameters", "section", "",
     "What becomes of what a provider's wire format cannot say; one word is short for its policy"),
    ("unsupported-parameters.policy", _POLICIES, "default",
     "As the format judges; all let go, and named; what can be brought into range, and nothing else; or all refused"),
    ("unsupported-parameters.parameters", "names", "", "Parameters with a policy of their own, by name"),
    ("unsupported-parameters.parameters.<parameter>", _POLICIES, "",
     "The policy of one, by OpenAI's name for it or by the caller's"),
)  # fmt: skip
_PROVIDER: Final = (
    ("use", "text", "", "The adapter, or the row of the catalogue, that serves it; not needed for a known name"),
    ("base-url", "text", "", "Its address, with or without version path and trailing slash"),
    ("version-path", "text", "", "The version path of its address where it cannot be deduced; empty for none"),
    ("version", "text", "", "anthropic only: the API version, sent as anthropic-version"),
    (
        "format",
        "text",
        "openai-chat",
        "The wire format of a provider without a row; of another, the one that requests are translated into",
    ),
    ("chat-fields", "names", "", "What it calls fields of openai-chat in translated requests, by OpenAI's names"),
    (
        "chat-fields.<field>",
        "text",
        "",
        "Its name for one, such as max_tokens; empty for one that it does not take",
    ),
    ("secret", "reference", "", "Where its key is kept; without it, the vendor's own environment variable"),
    ("tags", "list", "", "What is said of it for requests that require it, such as region:eu"),
    ("model-facts", "names", "", "What is to be known of its models, by name, * for any text; wins over the catalogue"),
    ("model-facts.<model>", "section", "", "What is to be known of a model"),
    ("model-facts.<model>.context-window", "count", "", "The largest number of tokens of a request and its answer"),
    ("model-facts.<model>.max-output", "count", "", "The largest number of tokens of an answer"),
    ("model-facts.<model>.vision", "switch", "", "Whether it reads images"),
    ("model-facts.<model>.tools", "switch", "", "Whether it calls tools"),
    ("model-facts.<model>.structured-output", "switch", "", "Whether an answer can be held to a JSON Schema"),
    ("secrets", "list", "", "Several keys in place of secret, as references or {secret, weight}"),
    ("keyless", "switch", "", "Whether it is used without a key"),
    ("models", "list", "", "The models it may be asked for; without it, any"),
    ("headers", "names", "", "More headers that are sent to it"),
    ("headers.<header>", "text", "", "The value of a header"),
    ("timeouts", "section", "", "How long to wait for it; what is left out is as in the gateway's timeouts"),
    ("passthrough", "inference|all", "inference", "Which of its paths the direct relay /PROVIDER/... may call"),
)
_PRICE: Final = (
    ("input", "number", "", "A million input tokens"),
    ("output", "number", "", "A million output tokens"),
    ("cache-read", "number", "as input", "A million input tokens read from the provider's cache"),
    ("cache-write", "number", "as input", "A million input tokens written to it, for five minutes or the usual time"),
    ("cache-write-1h", "number", "as cache-write", "A million input tokens written to it for an hour"),
    ("reasoning", "number", "as output", "A million output tokens spent on reasoning"),
    ("audio-input", "number", "as input", "A million input tokens of sound"),
    ("audio-output", "number", "as output", "A million output tokens of sound"),
    ("image-input", "number", "as input", "A million input tokens of pictures"),
    ("image-output", "number", "as output", "A million output tokens of pictures"),
    ("audio-hour", "number", "", "An hour of sound that is transcribed, translated or made"),
    ("image", "number", "", "A picture that is made"),
    ("search-unit", "number", "", "A search as rerankers count them"),
    ("web-search", "number", "", "A search of the web that the model makes"),
    ("request", "number", "0", "A request, whatever it takes"),
)
_BALANCE: Final = (
    ("strategy", "text", "", "latency, weighted, model-weighted, model-latency, priority, or another strategy's name"),
    ("use", "text", "", "A routing strategy by its own name, in place of strategy"),
    ("over", "stage:routing", "", "The strategy below, for what split, sticky or tags do not tell apart"),
    ("providers", "list", "", "Providers in written order, or {provider, weight, tags, for}"),
    ("models", "list", "", "Models as provider/model in written order, or {model, weight, tags, for}"),
)  # fmt: skip
_TABLE: Final = (
    ("auth", "stages:auth", "", "Auth providers in the order in which they are asked; without them nobody is asked"),
    ("secrets", "names", "env, file", "Secret stores by name; references name them"),
    ("secrets.<name>", "stage:secrets", "", "A secret store"),
    ("state", "names", "memory", "State stores by name"),
    ("state.<name>", "stage:state", "", "A state store"),
    ("interceptors", "stages:interceptors", "", "The gateway's interceptors, in order"),
    ("loggers", "stages:loggers", "", "What receives the record of every exchange"),
    ("pages", "stages:pages", "", "Pages for browsers that plugins bring, such as a dashboard"),
    ("plugins", "section", "", "Which plugins are used"),
    ("plugins.block", "list", "", "Plugins that are installed and must not be used"),
    ("providers", "names", "", "Providers by name; those whose key is in the environment are there without it"),
    ("providers.<provider>", "section", "", "A provider; further keys belong to its adapter"),
    ("routers", "names", "", "Routers by name; each answers below /router/{name}"),
    ("routers.<router>", "section", "", "A router"),
    ("routers.<router>.load-balance", "section", "chat: latency over openai, anthropic, gemini",
     "How each kind of request is spread"),
    ("routers.<router>.load-balance.chat", "section", "", "How chat requests are spread"),
    ("routers.<router>.model-mappings", "names", "", "The router's own model mapping, in place of the default one"),
    ("routers.<router>.model-mappings.<model>", "list", "", "What to ask for instead, as provider/model"),
    ("routers.<router>.required-tags", "list", "", "Tags that a provider must carry to serve its requests"),
    ("routers.<router>.larger-models", "list", "",
     "Models as provider/model, in order, that are tried when a request is too long for those asked"),
    ("routers.<router>.interceptors", "stages:interceptors", "", "The router's own interceptors, after the gateway's"),
    ("routers.<router>.timeouts", "section", "", "How long its requests wait; what is left out is the gateway's"),
    ("routers.<router>.providers", "names", "", "Providers as this router sees them"),
    ("routers.<router>.providers.<provider>", "section", "", "Settings that win over the gateway's for this provider"),
    ("models", "names", "", "Names of your own that callers may ask for; one * in a name stands for any text"),
    ("models.<model>", "list", "", "What serves it, as provider/model, in order of trial; * is what * stood for"),
    ("default-model-mapping", "names", "the catalogue's", "What routers ask each provider for; {} turns it off"),
    ("default-model-mapping.<model>", "list", "", "What to ask for instead, as provider/model"),
    ("global", "section", "", "What holds for every request"),
    ("global.credential-cool-down", "duration", "1m",
     "Time for which a credential that a provider refuses is left out, while another is usable"),
    ("rate-limit-store", "section", "", "Where rate limits are counted; without it, in the store memory"),
    ("rate-limit-store.type", "in-memory|redis", "", "The kind of store; redis comes with llmgate-redis"),
    ("rate-limit-store.host-url", "text", "redis://localhost:6379", "redis: its address, which holds no password"),
    ("rate-limit-store.connection-timeout", "duration", "1s", "redis: time to connect at the start"),
    ("cache-store", "section", "", "Where answers are kept; without it, in the store memory"),
    ("cache-store.type", "in-memory|redis", "", "The kind of store; redis comes with llmgate-redis"),
    ("cache-store.max-size", "count", "268435456", "in-memory: bytes of answers, then the least used go"),
    ("cache-store.host-url", "text", "redis://localhost:6379", "redis: its address, which holds no password"),
    ("unified-api", "section", "", "What holds for /ai and /v1"),
    ("unified-api.required-tags", "list", "", "Tags that a provider must carry to serve requests to /ai and /v1"),
    ("unified-api.larger-models", "list", "",
     "Models as provider/model, in order, that are tried when a request is too long for those asked"),
    ("unified-api.interceptors", "stages:interceptors", "", "Interceptors of the unified API, after the gateway's"),
    ("timeouts", "section", "", "How long to wait for providers"),
    ("stream", "section", "", "How streamed answers behave"),
    ("sessions", "section", "", "How sessions over a WebSocket behave"),
    ("model-lists", "section", "", "The lists that providers keep of their models"),
    ("prices", "section", "", "What models cost, in USD"),
    ("prices.enabled", "switch", "true", "Whether it is reckoned what requests cost"),
    ("prices.file", "text", "", "A file of prices that wins over the catalogue's"),
    ("prices.models", "names", "", "Prices of your own by provider/model, which win; * stands for any text"),
    ("prices.models.<priced>", "section", "", "What one model costs; a kind of unit that is left out has no price"),
    ("target-urls", "section", "false",
     "Whether requests may name their own target (Helicone-Target-URL): true, or what rules them"),
    ("target-urls.unapproved", "limit|refuse", "limit", "What becomes of requests to domains that nobody has approved"),
    ("target-urls.per-second", "count", "1", "limit: their requests in a second, for each caller"),
    ("target-urls.per-day", "count", "10000", "limit: their requests in a day (UTC), for each caller"),
    ("target-urls.domains", "list", "", "More approved domains: api.example.com, api-*.example.com, .example.com"),
    ("target-urls.book", "stage:domains", "llmgate-domains.jsonl",
     "What was decided of domains with llmgate domains: a file, or where a plugin keeps it"),
    ("target-urls.state", "text", "memory", "The state store that counts"),
    ("target-urls.on-failure", "deny|allow", "deny", "limit: what becomes of them while the store does not answer"),
    ("egress", "section", "", "Where requests may go beside the addresses of providers"),
    ("server", "section", "", "The host"),
    ("server.tls", "section", "Disabled", "How the host speaks TLS; Disabled for not at all"),
    ("server.tls.cert", "text", "", "The file with its certificate and those between it and an authority, PEM"),
    ("server.tls.key", "text", "", "The file with the certificate's key, PEM, not encrypted"),
    ("server.tls.client-ca", "text", "", "The file with the authorities whose certificates clients show, PEM"),
    ("server.tls.client-certificates", "required|optional", "required",
     "Whether a client without one is turned away, or may say otherwise who it is"),
    ("server.tls.client-crl", "text", "", "The file with what those authorities have revoked, PEM"),
    ("server.tls.minimum-version", "1.2|1.3", "1.2", "The least version of TLS; 1.3 where clients show certificates"),
    ("dispatcher", "section", "", "Timeouts in the words of the older dialect"),
    ("dispatcher.timeout", "duration", "15m", "timeouts.total"),
    ("dispatcher.connection-timeout", "duration", "5s", "timeouts.connect"),
    ("discover", "section", "", "What the latency strategy starts from, and when a deployment is left out"),
    ("discover.discover-decay", "duration", "", "decay of the latency strategy, where it has none of its own"),
    ("discover.default-rtt", "duration", "", "default-rtt of the latency strategy, where it has none of its own"),
    ("discover.monitor", "section", "", "Health monitoring"),
    ("discover.monitor.health", "section", "", "When a deployment is left out while another can be asked"),
    ("discover.monitor.health.type", "error-ratio", "error-ratio", "How health is judged"),
    ("discover.monitor.health.ratio", "number", "0.1", "Share of errors above which it is left out; 1 for never"),
    ("discover.monitor.health.window", "duration", "60s",
     "Time that is looked back, and after which one that has not failed again is back"),
    ("discover.monitor.health.buckets", "count", "10", "Parts of the window"),
    ("discover.monitor.health.interval", "duration", "5s", "Time between two requests that try one that is left out"),
    ("discover.monitor.health.max-rest", "duration", "5m",
     "Longest time for which one is left alone that limits the gateway; 0 for never"),
    ("discover.monitor.health.refuse-ratio", "number", "0.5",
     "Share of errors above which it gets nothing but trials, even where no other can be asked; 1 for never"),
    ("discover.monitor.health.when-all-out", "refuse-failing|refuse|ask", "refuse-failing",
     "When every deployment is left out: 503 if all of them fail, 503 in any case, or asked all the same"),
    ("discover.monitor.health.probe-interval", "duration", "10s",
     "Time between two probes of one that is left out for failing, which cost no tokens; 0 for none"),
    ("discover.monitor.health.probe-timeout", "duration", "5s", "Time that a probe waits for an answer"),
    ("discover.monitor.health.state", "text", "memory",
     "The state store through which processes tell each other who is left out, where it is shared"),
    ("discover.monitor.health.grace-period", "section", "", "When to judge at all"),
    ("discover.monitor.health.grace-period.min-requests", "count", "20", "Requests below which nothing is judged"),
    ("response-headers", "section", "", "What answers say of themselves"),
    ("response-headers.provider", "switch", "true", "Whether answers name the provider"),
    ("response-headers.cost", "switch", "true", "Whether whole answers say what they cost"),
    ("response-headers.provider-request-id", "switch", "true", "Whether answers carry the provider's request id"),
    ("telemetry", "section", "", "What the gateway tells of itself"),
    ("telemetry.level", "text", "info", "Level of the application log: trace, debug, info, warn, error, off"),
    ("telemetry.format", "pretty|compact|json", "pretty", "Shape of the application log"),
    ("telemetry.service-name", "text", "ai-gateway", "Name of the gateway in exported telemetry"),
    ("telemetry.exporter", "stdout|otlp|both", "stdout",
     "Where traces and metrics go: nowhere (stdout, the application log goes there), or to a collector as well"),
    ("telemetry.otlp-endpoint", "text", "",
     "Address of the collector, OTLP over HTTP; without it OpenTelemetry's own variables, else http://localhost:4318"),
    ("telemetry.otlp-headers", "names", "", "Headers that the collector wants"),
    ("telemetry.otlp-headers.<header>", "text", "",
     "A secret reference, since most of them are keys; a text without a colon that is no secret is sent as it is"),
    ("telemetry.content", "switch", "false",
     "Whether traces tell what was asked and answered: what records.content keeps, and nothing else"),
    ("telemetry.sampling", "number", "1", "Share of the traces that begin here that is exported, from 0 to 1"),
    ("telemetry.propagate", "switch", "false", "Whether callers' traces (W3C) go on here and at providers"),
    ("telemetry.prometheus", "switch", "false", "Whether GET /metrics answers with metrics for Prometheus"),
    ("telemetry.max-models", "count", "50", "Names of models that become labels; the others are called other"),
    ("records", "section", "", "What is kept of every exchange, and how surely"),
    ("records.content", "none|request|response|full", "none",
     "Which contents records keep, streams put together and secrets taken out"),
    ("records.content-limit", "count", "65536", "Bytes that are kept of a request, and of an answer"),
    ("records.redact-keys", "list", "", "Names of members whose values are not kept, beside password, token and such"),
    ("records.redact-patterns", "list", "", "Regular expressions of what is not kept, beside the shapes of secrets"),
    ("records.stages", "switch", "false", "Whether records tell each step on the way: verdict and microseconds"),
    ("records.ingest", "switch", "true", "Whether callers may tell of calls that they made directly"),
    ("records.journal", "section", "", "A local journal from which durable loggers are brought every record"),
    ("records.journal.path", "text", "", "Its directory, shared by all processes"),
    ("records.journal.sync", "group|os|always", "group",
     "When it is on the disk: before its answer ends, with others (group) or alone (always), or as the system likes"),
    ("records.journal.max-size", "count", "1073741824",
     "Bytes that the undelivered records of one process may take; beyond it the oldest are dropped and counted"),
    ("records.journal.segment-size", "count", "16777216", "Bytes of one of its files"),
    ("records.journal.on-failure", "serve|refuse", "serve",
     "When records cannot be written down: served all the same, with records in memory only, or refused with 503"),
    ("control-plane", "section", "", "The connection to the control plane of helicone"),
    ("control-plane.retry", "section", "", "When it is made again once it is lost"),
    ("control-plane.retry.strategy", "exponential|constant", "exponential", "Whether the wait grows"),
    ("control-plane.retry.min-delay", "duration", "1s", "exponential: the longest first wait"),
    ("control-plane.retry.max-delay", "duration", "60s", "exponential: the longest wait"),
    ("control-plane.retry.factor", "number", "2", "exponential: by how much the wait grows"),
    ("control-plane.retry.delay", "duration", "1s", "constant: the longest wait"),
    ("control-plane.retry.max-retries", "count", "", "Read, and without effect: it is tried again for ever"),
    ("helicone", "section", "",
     "Helicone's platform, or one that speaks as it does: where callers' keys come from, and records go"),
    ("helicone.api-key", "text", "env:HELICONE_CONTROL_PLANE_API_KEY",
     "What the gateway shows its control plane, as a reference"),
    ("helicone.base-url", "text", "https://api.helicone.ai",
     "Its address, from which websocket-url follows, and where records go"),
    ("helicone.websocket-url", "text", "base-url and its path", "Where its control plane takes WebSockets"),
    ("helicone.features", "none|auth|observability|__prompts|all", "none",
     "auth asks clients for a key; observability and all tell Helicone of requests, too; __prompts is not there yet"),
    ("helicone.authentication", "switch", "false",
     "Whether clients need a key; auth says whose are good, or else the control plane"),
    ("helicone.observability", "switch", "false", "Whether clients need a key and Helicone is told of requests"),
    ("helicone.__prompts", "switch", "false", "Only false so far"),
)  # fmt: skip
_NOT_YET: Final = (
    ("routers.<router>.load-balance.image", "section", "", "How image requests are spread"),
    ("routers.<router>.load-balance.audio", "section", "", "How audio requests are spread"),
)
_NEVER: Final = (
    ("database", "section", "", "Helicone's cloud database"),
    ("database.url", "text", "", "Its address"),
    ("database.connection-timeout", "duration", "10s", "Time to connect"),
    ("database.max-connections", "count", "10", "Most connections"),
    ("database.min-connections", "count", "0", "Fewest connections"),
    ("database.acquire-timeout", "duration", "5s", "Time to wait for a connection"),
    ("database.idle-timeout", "duration", "600s", "Time that an idle connection is kept"),
    ("database.max-lifetime", "duration", "1800s", "Time that any connection is kept"),
    ("minio", "section", "", "Helicone's store of bodies"),
    ("minio.url-style", "path|virtual-host", "path", "How buckets are addressed"),
    ("minio.bucket-name", "text", "request-response-storage", "Its bucket"),
    ("minio.host", "text", "http://localhost:9000", "Its address"),
    ("minio.region", "text", "us-east-1", "Its region"),
    ("minio.access-key", "text", "", "Its access key"),
    ("minio.secret-key", "text", "", "Its secret key"),
    ("deployment-target", "section", "sidecar", "Only sidecar, which is what llmgate is"),
    ("deployment-target.type", "sidecar|cloud", "sidecar", "Only sidecar"),
    ("deployment-target.db-poll-interval", "duration", "30s", "cloud: time between two looks at the database"),
    ("deployment-target.listener-reconnect-interval", "duration", "300s", "cloud: time before listening anew"),
)
_SCOPES: Final = ("global", "unified-api", "routers.<router>")


@functools.cache
def key_table() -> Sequence[Key]:
    """Every key, sorted by path."""
    return tuple(sorted(_keys(), key=lambda key: key.path))


@functools.cache
def children(section: str) -> Mapping[str, Key]:
    """The keys directly below a section (``""`` for the top), by their last part; names of the operator left out."""
    prefix = f"{section}." if section else ""
    return {
        key.path[len(prefix) :]: key
        for key in key_table()
        if key.path.startswith(prefix) and not set(".<") & set(key.path[len(prefix) :])
    }


def _keys() -> Iterator[Key]:
    yield from (Key(*row) for row in _TABLE)
    yield from (Key(*row, Status.NOT_YET) for row in _NOT_YET)
    yield from (Key(*row, Status.NEVER) for row in _NEVER)
    for scope in _SCOPES:
        yield from _below(scope, _RETRIES)
        yield from _below(scope, _RESILIENCE)
        yield from _below(scope, (*_CACHE, *_LIMIT))
    yield from (Key(*row) for row in _UNSUPPORTED)
    for path, kind, default, meaning in _UNSUPPORTED:
        yield Key(f"routers.<router>.{path}", kind, default and "the gateway's", meaning)
    yield from _below("routers.<router>.load-balance.chat", _BALANCE)
    yield from _below("prices.models.<priced>", _PRICE)
    for provider in ("providers.<provider>", "routers.<router>.providers.<provider>"):
        yield from _below(provider, _PROVIDER)
        yield from _below(provider, _RETRIES)
        yield from _fields(f"{provider}.timeouts", Timeouts, "the gateway's")
    yield from _fields("timeouts", Timeouts)
    yield from _fields("routers.<router>.timeouts", Timeouts, "the gateway's")
    yield from _fields("stream", StreamConfig)
    yield from _fields("sessions", SessionConfig)
    yield from _fields("model-lists", ModelListsConfig)
    yield from _fields("egress", EgressConfig)
    yield from _fields("server", ServerConfig)


def _below(section: str, rows: Sequence[Sequence[str]], status: Status = Status.WORKS) -> Iterator[Key]:
    for path, kind, default, meaning in rows:
        yield Key(f"{section}.{path}", kind, default, meaning, status)


def _fields(section: str, cls: type[Any], default: str | None = None) -> Iterator[Key]:
    said = meanings(cls)
    for field in settable(cls):
        value = _shown(field, cls) if default is None else default
        yield Key(f"{section}.{key_of(field)}", _type(field, cls), value, said.get(field.name, "").rstrip("."))


def _type(field: attrs.Attribute[Any], cls: type[Any]) -> str:
    if isinstance(field.default, bool):
        return "switch"
    if isinstance(field.default, float):
        return "duration"
    if isinstance(field.default, int):
        return "duration" if says_seconds(cls, field) and not field.name.endswith("rate") else "count"
    return "text" if isinstance(field.default, str) else "list"


def _shown(field: attrs.Attribute[Any], cls: type[Any]) -> str:
    value = field.default
    if isinstance(value, bool):
        return str(value).lower()
    if _type(field, cls) == "duration":
        return written(value or 0)
    return "" if value == () else str(value)
