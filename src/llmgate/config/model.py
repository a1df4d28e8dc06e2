"""What a configuration says, once it has been read, completed and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs

from llmgate.catalogue import provider_row
from llmgate.catalogue.price_files import PriceFile
from llmgate.spec import Audience, DescribedModel, Price, ProviderKey, ProviderRow, SecretRef, Timeouts

from .egress import EgressConfig
from .records import RecordsConfig
from .server import ServerConfig, TlsConfig

__all__ = [
    "BalanceConfig",
    "GatewayConfig",
    "HealthConfig",
    "MemberConfig",
    "ModelListsConfig",
    "PricesConfig",
    "ProviderConfig",
    "ResilienceConfig",
    "RetryBudgetConfig",
    "RetryConfig",
    "RouterConfig",
    "ServerConfig",
    "SessionConfig",
    "StageConfig",
    "StreamConfig",
    "TelemetryConfig",
    "TlsConfig",
    "UnsupportedConfig",
    "UnsupportedPolicy",
    "row_of",
]

UnsupportedPolicy: TypeAlias = Literal["default", "report", "adjust", "refuse"]

_PART: Final = re.compile(r"[.\[]")


@attrs.frozen
class StageConfig:
    """A stage as the configuration names it.

    Args:
        id: Where it stands, for messages and notes, for example ``auth[0]`` or ``routers.my-router.chat``.
        use: The stage's own id.
        config: An instance of the stage's ``config_class``.
    """

    id: str
    use: str
    config: Any


@attrs.frozen
class RetryConfig:
    """How often and when an attempt is repeated.

    Args:
        max_retries: Repeats after the first try of every candidate.
        min_delay: Seconds before the first repeat.
        max_delay: Upper bound of the wait, in seconds.
        factor: By how much the wait grows; 1 for a constant one.
    """

    max_retries: int = 2
    min_delay: float = 1.0
    max_delay: float = 30.0
    factor: float = 2.0


@attrs.frozen
class RetryBudgetConfig:
    """How many attempts beyond the first of each request may be made, all requests together.

    Args:
        ratio: Extra attempts for each request that has come within the window; 0.2 is one for five requests.
        floor: Extra attempts within the window beside those, so that a quiet gateway can repeat, too.
        window: Seconds that are looked back.
    """

    ratio: float = 0.2
    floor: int = 10
    window: float = 10.0


@attrs.frozen
class ResilienceConfig:
    """How far a scope goes to get an answer, and for whom; None leaves a question to the scope around it.

    Args:
        retry_budget: How many extra attempts may be made.
        resend_unknown: Whether a request may be sent again of which nobody knows whether the provider worked on it.
        on_disconnect: What becomes of the provider's answer when the caller leaves: ``cancel`` or ``drain``.
        caller_keys: Whether callers may bring their own key at a provider.
        hedge_after: Seconds without content after which a second attempt is made beside the first.
    """

    retry_budget: RetryBudgetConfig | None = None
    resend_unknown: bool | None = None
    on_disconnect: str | None = None
    caller_keys: bool | None = None
    hedge_after: float | None = None


@attrs.frozen
class HealthConfig:
    """When a deployment is left out while another can be asked.

    Args:
        ratio: Share of errors above which it is left out; 1 for never.
        window: Seconds that are looked back, and after which one that has not failed again is back.
        buckets: Parts of the window; the oldest falls out as a whole.
        interval: Seconds between two requests that try one that is left out, and for which one is left alone that
            limits the gateway without saying how long.
        min_requests: Requests within the window below which nothing is judged.
        max_rest: Longest time in seconds for which one is left alone that limits the gateway; 0 for never.
        refuse_ratio: Share of errors above which it is asked for nothing but a trial, even where no other can be; 1 for
            never.
        when_all_out: What becomes of a request when every deployment is left out: ``refuse-failing`` asks those that
            only limit the gateway or fail less often than ``refuse_ratio``, ``refuse`` none, ``ask`` all.
        probe_interval: Seconds between two probes of one that is left out for failing; 0 for none.
        probe_timeout: Seconds that a probe waits for an answer.
        state: The state store through which processes tell each other, where it is shared.
    """

    ratio: float = 0.1
    window: float = 60.0
    buckets: int = 10
    interval: float = 5.0
    min_requests: int = 20
    max_rest: float = 300.0
    refuse_ratio: float = 0.5
    when_all_out: str = "refuse-failing"
    probe_interval: float = 10.0
    probe_timeout: float = 5.0
    state: str = "memory"


@attrs.frozen
class ProviderConfig:
    """A provider as the configuration describes it.

    Args:
        name: Its name in the configuration.
        row: The row of the catalogue that it is made from; None for a provider that no row knows.
        adapter: The adapter stage and its config.
        base_url: The operator's address for it; None for the row's own.
        format: The wire format of a provider that no row knows.
        secret: Where its credential is kept; None for the row's own variable.
        tags: What is said of it, and so of its deployments.
        described: What is said of its models, by their names or patterns.
        keys: Its keys where it has several, of which ``secret`` is the first.
        models: Models that the operator lists; empty for any.
        headers: Headers that the operator wants sent to it.
        chat_fields: Its names for fields of ``openai-chat``, over its row's; ``""`` for what it does not take.
        timeouts: How long to wait for it; None for the gateway's.
        retries: How often an attempt at it is repeated; None for what its route says.
        version_path: The version path of its address, for the rare server whose path is not ``/v1``; None to deduce it.
        keyless: Whether it is used without a credential; None for the row's answer.
        passthrough: Whether the direct relay may call every path of the provider, not only those for inference.
        brought: The row that its adapter brings, from which it is made; None for ``row``.
    """

    name: str
    row: str | None
    adapter: StageConfig
    base_url: str | None = None
    format: str | None = None
    secret: SecretRef | None = None
    models: Sequence[str] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    timeouts: Timeouts | None = None
    retries: RetryConfig | None = None
    version_path: str | None = None
    keyless: bool | None = None
    passthrough: bool = False
    brought: ProviderRow | None = attrs.field(default=None, repr=False)
    keys: Sequence[ProviderKey] = ()
    tags: frozenset[str] = frozenset()
    described: Mapping[str, DescribedModel] = attrs.field(factory=dict)
    chat_fields: Mapping[str, str] = attrs.field(factory=dict)


def row_of(provider: ProviderConfig) -> ProviderRow | None:
    """The row that a provider is made from; None for one that no row knows."""
    if provider.brought is not None:
        return provider.brought
    return provider_row(provider.row) if provider.row is not None else None


@attrs.frozen
class MemberConfig:
    """One entry of a balance: a provider, and the model to ask it for where the entry says so.

    Args:
        provider: Its name.
        model: The model; None for what the caller asks for.
        weight: Its share.
        tags: What is said of it beside the provider's own tags.
        audience: The callers that it is kept for; None for those that have none of their own.
    """

    provider: str
    model: str | None = None
    weight: float = 1.0
    tags: frozenset[str] = frozenset()
    audience: Audience | None = None


@attrs.frozen
class BalanceConfig:
    """How a router spreads one operation.

    Args:
        strategy: The routing strategy and its config.
        members: Where requests can go, in written order.
        by_model: Whether the entries name models (``model-weighted``, ``model-latency``) rather than providers.
        grouped: Whether only the entries of the model asked for are candidates (``model-latency``).
        over: The strategies that the strategy is laid over, each over the next.
    """

    strategy: StageConfig
    members: Sequence[MemberConfig]
    by_model: bool = False
    grouped: bool = False
    over: Sequence[StageConfig] = ()


@attrs.frozen
class UnsupportedConfig:
    """What becomes of what a provider's wire format cannot say.

    Args:
        policy: What holds for every parameter that has none of its own; None where this scope does not say.
        parameters: The policy of single parameters, by name.
    """

    policy: UnsupportedPolicy | None = None
    parameters: Mapping[str, UnsupportedPolicy] = attrs.field(factory=dict)

    def under(self, own: UnsupportedConfig) -> UnsupportedConfig:
        """The policy of a scope below this one, which says ``own``."""
        if not own.parameters and own.policy is None:
            return self
        return UnsupportedConfig(own.policy or self.policy, {**self.parameters, **own.parameters})

    def of(self, *names: str) -> UnsupportedPolicy:
        """The policy of a parameter.

        Args:
            *names: What it is called; a part of one (``tools.strict``, ``messages[0]``) falls under the whole.
        """
        if self.parameters:
            for name in (*names, *(_PART.split(name, 1)[0] for name in names)):
                if name in self.parameters:
                    return self.parameters[name]
        return self.policy or "default"


@attrs.frozen
class RouterConfig:
    """A router: what ``/router/{id}`` leads to.

    Args:
        id: Its name.
        balances: The balance of each operation, by the operation's value.
        model_mappings: For a model asked for, ``provider/model`` to ask for instead; None for the gateway's default.
        providers: Providers with settings of this router's own, by name; they shadow the gateway's.
        retries: Its own retries; None for the gateway's.
        timeouts: How long its requests wait, for providers that say nothing themselves; None for the gateway's.
        interceptors: Its own interceptors, after the gateway's.
        resilience: What it says of extra attempts and of callers who leave.
        larger_models: What is tried when a request is too long for the models asked.
        required_tags: Tags that a deployment must carry to serve its requests.
        unsupported: What becomes of what a provider's wire format cannot say; what is left out is the gateway's.
    """

    id: str
    balances: Mapping[str, BalanceConfig]
    model_mappings: Mapping[str, Sequence[str]] | None = None
    providers: Mapping[str, ProviderConfig] = attrs.field(factory=dict)
    retries: RetryConfig | None = None
    timeouts: Timeouts | None = None
    interceptors: Sequence[StageConfig] = ()
    resilience: ResilienceConfig = ResilienceConfig()
    larger_models: Sequence[MemberConfig] = ()
    required_tags: frozenset[str] = frozenset()
    unsupported: UnsupportedConfig = UnsupportedConfig()


@attrs.frozen
class StreamConfig:
    """How streamed answers behave, in seconds and bytes.

    Args:
        commit_after: After how long without content the head of the answer is sent all the same.
        heartbeat: After how long a silent stream gets a sign of life.
        max_event_bytes: Upper bound of one event.
        drain_timeout: Seconds for which an answer is read on after its caller has left, where ``on-disconnect`` is
            ``drain``.
        drain_bytes: Upper bound of what is read on of one answer.
        max_drains: Upper bound of the answers that are read on at once, beyond which they are cancelled; as many kept
            answers are renewed at once in the background.
    """

    commit_after: float = 15.0
    heartbeat: float = 15.0
    max_event_bytes: int = 16 * 1024 * 1024
    drain_timeout: float = 60.0
    drain_bytes: int = 16 * 1024 * 1024
    max_drains: int = 100


@attrs.frozen
class SessionConfig:
    """How sessions over a WebSocket behave, in seconds and bytes.

    Args:
        total: How long a session may last.
        idle: After how long without a message of either side it is closed.
        heartbeat: Seconds between two pings to either side; a side that does not react is taken to be gone.
        max_message_bytes: Upper bound of one message, its fragments put together.
        recheck: Seconds between two looks at whether the caller's key is still good; 0 for none once it is open.
    """

    total: float = 3600.0
    idle: float = 900.0
    heartbeat: float = 20.0
    max_message_bytes: int = 16 * 1024 * 1024
    recheck: float = 1.0


@attrs.frozen
class ModelListsConfig:
    """The lists that providers keep of their models.

    Args:
        refresh: Seconds between two looks at them; 0 for never.
        file: A file that keeps them from one start to the next, as ``llmgate models sync`` writes it; empty for none.
        map_every: Seconds between two looks for prices that are missing, at which providers are asked too and costs of
            records are filled in; 0 for never. Nobody looks where no logger keeps records so that it can.
    """

    refresh: float = 0.0
    file: str = ""
    map_every: float = 86400.0


@attrs.frozen
class PricesConfig:
    """What models cost.

    Args:
        enabled: Whether it is reckoned what requests cost.
        models: The operator's prices by ``provider/model``, ``*`` in it standing for any text; they win.
        imported: A file of prices that wins over the catalogue's; None for none.
    """

    enabled: bool = True
    models: Mapping[str, Price] = attrs.field(factory=dict)
    imported: PriceFile | None = attrs.field(default=None, repr=False)


@attrs.frozen
class TelemetryConfig:
    """What the gateway tells of itself, beside its log.

    Args:
        exporter: Where traces and metrics go: nowhere but into the application log, or to a collector by OTLP.
        otlp_endpoint: The collector's address; empty for what OpenTelemetry's own variables say.
        service_name: What the gateway is called there.
        sampling: Which share of the traces that begin here is exported, from 0 to 1.
        propagate: Whether callers' traces go on here and at providers.
        prometheus: Whether ``/metrics`` answers.
        max_models: How many names of models become labels of metrics.
        content: Whether traces tell what was asked and answered, as far as records keep it.
        otlp_headers: What the collector is sent beside: texts, and references to secrets.
    """

    exporter: str = "stdout"
    otlp_endpoint: str = ""
    service_name: str = "ai-gateway"
    sampling: float = 1.0
    propagate: bool = False
    prometheus: bool = False
    max_models: int = 50
    content: bool = False
    otlp_headers: Mapping[str, str | SecretRef] = attrs.field(factory=dict)


@attrs.frozen
class GatewayConfig:
    """The whole configuration.

    Args:
        providers: Every provider that can be used, by name, those found in the environment included.
        routers: The routers, by id.
        models: Names that callers may ask for, ``*`` in them standing for any text, and the ``provider/model`` that
            serve each in order of trial.
        model_audiences: For those of these names of which some models are kept for some callers, whom each is kept for.
        auth: Auth providers in the order in which they are asked; empty means no client authentication.
        secrets: Secret stores by name.
        state: State stores by name; ``memory`` is always there.
        interceptors: The gateway's interceptors in order.
        unified_interceptors: Interceptors of the unified API, after the gateway's.
        loggers: Loggers.
        pages: Pages of the host.
        retries: Retries where a router has none of its own; None for no repeats.
        unified_retries: Retries of the unified API; None for ``retries``.
        resilience: Extra attempts and callers who leave, where a router says nothing.
        unified_resilience: The same of the unified API.
        unified_required_tags: Tags that a deployment must carry to serve requests of the unified API.
        unified_larger_models: What the unified API tries when a request is too long for the models asked.
        credential_cool_down: Seconds for which a credential that a provider has refused is left out.
        health: When a deployment is left out while another can be asked.
        unsupported: What becomes of what a provider's wire format cannot say: as the format judges each, all
            left out and reported, or all refused.
        model_mapping: The default model mapping of the operator; None for the built-in one, empty for none.
        timeouts: How long to wait for providers.
        stream: How streamed answers behave.
        sessions: How sessions over a WebSocket behave.
        telemetry: What the gateway tells of itself.
        records: What is kept of every exchange.
        model_lists: The lists that providers keep of their models.
        prices: What models cost.
        server: The host.
        targets: What rules requests that name their own target; None where no request may.
        domains: Where it is kept what was decided of domains; None where no request may name its target.
        egress: Where requests may go beside the addresses of providers.
        provider_header: Whether answers name the provider.
        provider_request_id_header: Whether answers carry the provider's own request id.
        cost_header: Whether whole answers say what they cost.
        log_level: Level of the application log: debug, info, warning, error or critical.
        log_format: Shape of the application log: pretty, compact or json.
        blocked_plugins: Plugins that are installed and must not be used.
        warnings: What the operator should know, said at start, for example a provider without its key.
        directory: What relative paths are relative to.
        source: What it was read from, for people.
    """

    providers: Mapping[str, ProviderConfig] = attrs.field(factory=dict)
    routers: Mapping[str, RouterConfig] = attrs.field(factory=dict)
    models: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    model_audiences: Mapping[str, Sequence[Audience | None]] = attrs.field(factory=dict)
    auth: Sequence[StageConfig] = ()
    secrets: Mapping[str, StageConfig] = attrs.field(factory=dict)
    state: Mapping[str, StageConfig] = attrs.field(factory=dict)
    interceptors: Sequence[StageConfig] = ()
    unified_interceptors: Sequence[StageConfig] = ()
    loggers: Sequence[StageConfig] = ()
    pages: Sequence[StageConfig] = ()
    retries: RetryConfig | None = None
    unified_retries: RetryConfig | None = None
    resilience: ResilienceConfig = ResilienceConfig()
    unified_resilience: ResilienceConfig = ResilienceConfig()
    unified_larger_models: Sequence[MemberConfig] = ()
    unified_required_tags: frozenset[str] = frozenset()
    credential_cool_down: float = 60.0
    health: HealthConfig = HealthConfig()
    unsupported: UnsupportedConfig = UnsupportedConfig()
    model_mapping: Mapping[str, Sequence[str]] | None = None
    timeouts: Timeouts = Timeouts()
    stream: StreamConfig = StreamConfig()
    sessions: SessionConfig = SessionConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    records: RecordsConfig = RecordsConfig()
    model_lists: ModelListsConfig = ModelListsConfig()
    prices: PricesConfig = PricesConfig()
    server: ServerConfig = ServerConfig()
    targets: StageConfig | None = None
    domains: StageConfig | None = None
    egress: EgressConfig = EgressConfig()
    provider_header: bool = True
    provider_request_id_header: bool = True
    cost_header: bool = True
    log_level: str = "info"
    log_format: str = "pretty"
    blocked_plugins: Sequence[str] = ()
    warnings: Sequence[str] = ()
    directory: Path = attrs.field(factory=Path)
    source: str = "the environment"
