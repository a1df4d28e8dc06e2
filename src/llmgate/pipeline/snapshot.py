"""One immutable state of a Pipeline: the stages and routes that an exchange sees from its beginning to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from llmgate.config.model import GatewayConfig, RetryConfig, StageConfig, UnsupportedConfig
from llmgate.spec import (
    Audience,
    AuthProvider,
    DomainBook,
    Logger,
    Operation,
    Pages,
    Provider,
    ProviderAdapter,
    RoutingStrategy,
    SecretCache,
    Stage,
    StageContext,
    StateStore,
    Transport,
)

from .chain import Chain
from .credentials import SecretSource
from .failing import Failing
from .health import Health
from .key_pool import PooledKey
from .links import StageLink
from .naming import ModelMapping
from .retry_budget import RetryBudget

if TYPE_CHECKING:
    from llmgate.journal import Journal
    from llmgate.telemetry import Telemetry
    from llmgate.telemetry.ids import Tracing

    from .candidates import Candidates
    from .capturing import Capturing
    from .settling import RecordTaker
    from .targets import TargetDoor

__all__ = ["Balance", "Member", "PlacedStage", "ProviderRuntime", "Route", "Snapshot"]


@attrs.frozen(eq=False)
class PlacedStage:
    """A stage in its place.

    Args:
        kind: The kind of stage.
        entry: What the configuration says of it.
        stage: The instance.
        context: What it is opened with.
        link: What its context leads to.
        cache: What keeps the secrets that it gives; None where nothing does.
    """

    kind: str
    entry: StageConfig
    stage: Stage[Any]
    context: StageContext
    link: StageLink
    cache: SecretCache | None = None

    async def aclose(self) -> None:
        """Close the stage, and what is under way for it."""
        try:
            if self.cache is not None:
                await self.cache.aclose()
        finally:
            await self.stage.aclose()


@attrs.frozen(eq=False)
class ProviderRuntime:
    """A configured provider with what speaks to it.

    Args:
        provider: The provider.
        adapter: What builds its requests and reads its answers.
        transport: What moves them.
        origin: ``scheme://host[:port]`` of the provider, the only place where its requests may go.
        retries: How often an attempt at it is repeated; None for what the route says.
    """

    provider: Provider
    adapter: ProviderAdapter[Any]
    transport: Transport
    origin: str
    retries: RetryConfig | None = None


@attrs.frozen(eq=False)
class Member:
    """One entry of a balance, resolved."""

    provider: Provider
    model: str | None = None
    weight: float = 1.0
    tags: frozenset[str] = frozenset()
    audience: Audience | None = None


@attrs.frozen(eq=False)
class Balance:
    """How a route spreads one operation; the fields are those of ``BalanceConfig``, resolved."""

    strategy: RoutingStrategy[Any]
    members: Sequence[Member]
    by_model: bool = False
    grouped: bool = False


@attrs.frozen(eq=False)
class Route:
    """Where requests of one door go: a router, or the unified API.

    Args:
        id: The router's id, None for the unified API.
        balances: By operation; empty for the unified API, which finds providers by the model's name.
        fallback: The strategy for candidates that no balance orders.
        mapping: The model mapping that applies.
        chain: The interceptors.
        retries: How often a round over the candidates is repeated; None for never.
        providers: Providers as this route sees them, by name.
        total: Seconds that one of its requests may take in all; None for the gateway's.
        aliases: Names of the operator's own, and what serves each in order of trial; of the unified API.
        budget: How many extra attempts its requests may make, all together.
        resend_unknown: Whether a request may be sent again that was lost after it had been sent.
        hedge_after: Seconds without content after which a second attempt is made beside the first; None for never.
        drains: Whether answers are read to their end when the caller leaves.
        required_tags: Tags that a deployment must carry to serve its requests.
        larger: What is tried when a request is too long for the models asked, in order.
        caller_keys: Whether callers may bring their own key at a provider.
        unsupported: What becomes of what a provider's wire format cannot say.
    """

    id: str | None
    balances: Mapping[Operation, Balance]
    fallback: RoutingStrategy[Any]
    mapping: ModelMapping
    chain: Chain
    retries: RetryConfig | None
    providers: Mapping[str, Provider]
    budget: RetryBudget
    total: float | None = None
    aliases: ModelMapping = ModelMapping()
    resend_unknown: bool = True
    hedge_after: float | None = None
    drains: bool = False
    larger: Sequence[Member] = ()
    required_tags: frozenset[str] = frozenset()
    caller_keys: bool = False
    unsupported: UnsupportedConfig = UnsupportedConfig()


@attrs.frozen(eq=False)
class Snapshot:
    """Everything assembled from one configuration; stages are placed in the order in which they open.

    ``budgets`` are those of the scopes that say something of it, and of the gateway; ``failing`` is the same object in
    every snapshot of a Pipeline, ``health`` in those that judge it alike; ``pools`` are those with several keys.
    ``found`` remembers which deployments names have led to. ``targets`` is there where requests may go
    where no provider is configured, ``domains`` what was decided of where that is, and ``aimed`` in the snapshot of a
    single exchange whose caller has chosen. ``pages`` are by their paths. ``telemetry`` is None where nobody wants any,
    and so are ``journal`` and ``capturing``, which keeps contents.
    """

    config: GatewayConfig
    placed: Sequence[PlacedStage]
    secrets: Mapping[str, SecretSource]
    state: Mapping[str, StateStore[Any]]
    auth: Sequence[AuthProvider[Any]]
    loggers: Sequence[tuple[str, Logger[Any]]]
    runtimes: Mapping[Provider, ProviderRuntime]
    providers: Mapping[str, Provider]
    unified: Route
    routers: Mapping[str, Route]
    budgets: Mapping[str, RetryBudget]
    failing: Failing
    health: Health
    pools: Mapping[Provider, Sequence[PooledKey]]
    telemetry: Telemetry | None
    journal: Journal | None = None
    capturing: Capturing | None = None
    pages: Mapping[str, Pages[Any]] = attrs.field(factory=dict)
    targets: TargetDoor | None = None
    domains: DomainBook[Any] | None = None
    aimed: Provider | None = None
    found: dict[tuple[str | None, str, Operation], Candidates] = attrs.field(factory=dict, init=False)

    @property
    def tracing(self) -> Tracing | None:
        """What gives exchanges their place in a trace; None where nobody wants to know."""
        return self.telemetry.tracing if self.telemetry is not None else None

    @property
    def takers(self) -> Sequence[tuple[str, RecordTaker]]:
        """Whoever gets the records, by what messages call them."""
        return (*self.loggers, *([] if self.telemetry is None else [("telemetry", self.telemetry)]))

    @property
    def stages(self) -> Sequence[tuple[str, Stage[Any]]]:
        """The stages by what the configuration calls them."""
        return tuple((one.entry.id, one.stage) for one in self.placed)
