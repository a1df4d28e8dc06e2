"""The composition root: configuration and registry become stage instances, in written order. No I/O happens here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import urlsplit

import attrs

from llmgate.catalogue import (
    OPENAI_RELAY_PATHS,
    OPENAI_SOCKETS,
    RESERVED_NAMES,
    default_model_mapping,
    provider_row,
    resolve_base_url,
)
from llmgate.catalogue.prices import VendorPrices
from llmgate.catalogue.relaying import mount_of
from llmgate.config.model import (
    BalanceConfig,
    GatewayConfig,
    MemberConfig,
    ProviderConfig,
    ResilienceConfig,
    RetryBudgetConfig,
    RouterConfig,
    StageConfig,
    row_of,
)
from llmgate.journal import Journal
from llmgate.spec import (
    AT_HOST,
    ConfigError,
    CredentialHeader,
    Interceptor,
    ListedModel,
    Logger,
    Operation,
    Pages,
    PluginError,
    Provider,
    ProviderAdapter,
    ProviderKey,
    ProviderRow,
    SecretCache,
    SecretStore,
    Stage,
    StageContext,
    Timeouts,
)

from .capturing import capturing_of
from .chain import Chain
from .credentials import SecretSource
from .inheritance import Inheritance
from .key_pool import PooledKey
from .links import StageLink
from .naming import ModelMapping
from .retry_budget import RetryBudget
from .snapshot import Balance, Member, PlacedStage, ProviderRuntime, Route, Snapshot
from .targets import TargetDoor
from .wrapping import Wrapping

if TYPE_CHECKING:
    from .listing import ModelList

__all__ = ["Assembly", "StageFinder", "origin_of"]

_SEGMENT: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class StageFinder(Protocol):
    """What assembly needs of a registry: the class behind a kind and a name."""

    def find(self, kind_id: str, name: str) -> type[Stage[Any]] | None:
        """The class, None when there is none."""
        ...


class Assembly:
    """Builds one ``Snapshot``.

    Args:
        config: The configuration.
        registry: Where stage classes are found.
        context: What stages are opened with; each gets it with an id and links of its own.
        inheritance: What is taken over from the snapshot in force.
        lists: The models that providers have listed, by the provider's name.
    """

    def __init__(
        self,
        config: GatewayConfig,
        registry: StageFinder,
        context: StageContext,
        inheritance: Inheritance,
        lists: Mapping[str, ModelList] | None = None,
    ) -> None:
        self._config = config
        self._registry = registry
        self._context = context
        self._inheritance = inheritance
        self._lists = lists or {}
        self._placed: list[PlacedStage] = []
        self._runtimes: dict[Provider, ProviderRuntime] = {}
        self._budgets: dict[str, RetryBudget] = {}
        self._pools: dict[Provider, Sequence[PooledKey]] = {}

    def snapshot(self) -> Snapshot:
        """The stages and routes of the configuration; stages stand in the order in which they are to be opened.

        Raises:
            PluginError: a stage cannot be made.
            ConfigError: a provider or a balance makes no sense.
        """
        config = self._config
        secrets = {name: self._secrets(one) for name, one in config.secrets.items()}
        state = {name: self._stage("state", one) for name, one in config.state.items()}
        domains = None if config.domains is None else self._stage("domains", config.domains)
        auth = [self._stage("auth", one) for one in config.auth]
        providers = {name: self._provider(one) for name, one in config.providers.items()}
        shared = [self._stage("interceptors", one) for one in config.interceptors]
        unified = self._unified(providers, shared)
        routers = {name: self._router(one, providers, shared) for name, one in config.routers.items()}
        loggers = [(one.id, self._stage("loggers", one)) for one in config.loggers]
        pages = self._pages()
        targets = self._targets()
        return Snapshot(
            config=config,
            placed=tuple(self._placed),
            secrets=secrets,
            state=state,
            auth=auth,
            loggers=loggers,
            runtimes=self._runtimes,
            providers=providers,
            unified=unified,
            routers=routers,
            budgets=self._budgets,
            failing=self._inheritance.failing,
            health=self._inheritance.health,
            pools=self._pools,
            targets=targets,
            domains=domains,
            telemetry=self._inheritance.telemetry,
            journal=self._journal([one for _, one in loggers]),
            capturing=capturing_of(config.records),
            pages=pages,
        )

    def _pages(self) -> Mapping[str, Pages[Any]]:
        """The pages by their paths.

        Raises:
            ConfigError: a path is none, or it is taken.
        """
        found: dict[str, Pages[Any]] = {}
        for entry in self._config.pages:
            pages = cast("Pages[Any]", self._stage("pages", entry))
            name = pages.path.removeprefix("/")
            if pages.path == name or not _SEGMENT.fullmatch(name):
                raise ConfigError(
                    f"{entry.id}: {pages.path!r} is no place for pages: write a slash and lower-case letters, digits "
                    "and hyphens, such as /dashboard"
                )
            if name in RESERVED_NAMES or name in self._config.providers or provider_row(name) is not None:
                raise ConfigError(f"{entry.id}: {pages.path} is an address of the gateway's own: choose another path")
            if pages.path in found:
                raise ConfigError(f"{entry.id}: there are other pages at {pages.path}: choose another path")
            found[pages.path] = pages
        return found

    def _journal(self, loggers: Sequence[Logger[Any]]) -> Journal | None:
        """What keeps records until loggers have them; as before, where it is kept alike.

        Raises:
            ConfigError: there is nobody to keep them for.
        """
        said = self._config.records.journal
        if said is None:
            return None
        if not any(one.durable for one in loggers):
            raise ConfigError(
                "records.journal: none of the loggers takes records from a journal: add one that does, "
                "such as json-lines with a path"
            )
        return self._inheritance.journal(self._config.directory / said.path, said, self._context.clock)

    def _stage(self, kind_id: str, entry: StageConfig) -> Any:
        return self._place(kind_id, entry).stage

    def _secrets(self, entry: StageConfig) -> SecretSource:
        """A secret store, behind what keeps its secrets where it wants that."""
        placed = self._place("secrets", entry)
        return placed.cache or cast("SecretStore[Any]", placed.stage)

    def _place(self, kind_id: str, entry: StageConfig) -> PlacedStage:
        stage_class = self._registry.find(kind_id, entry.use)
        if stage_class is None:
            raise PluginError(f"{entry.id}: no {kind_id} stage is called {entry.use!r}: see `llmgate plugins`")
        placed = self._inheritance.stage(kind_id, entry, stage_class)
        if placed is None:
            try:
                stage = stage_class(entry.config)
            except Exception as failure:
                raise PluginError(f"{entry.id}: {entry.use!r} cannot be made: {failure}") from failure
            link = StageLink()
            fetch = link.fetch_for_store if kind_id == "secrets" else link.fetch_secret
            context = attrs.evolve(
                self._context, id=entry.id, fetch_secret=fetch, state=link.state, domains=link.domains
            )
            placed = PlacedStage(kind_id, entry, stage, context, link, _cache(stage, context))
        self._placed.append(placed)
        return placed

    def _targets(self) -> TargetDoor | None:
        """Where requests leave that go where no provider is configured; None where none may."""
        if self._config.targets is None and not self._config.server.base_domain:
            return None
        entry = StageConfig(id="target-urls", use=TargetDoor.name, config=self._config.egress)
        placed = self._inheritance.stage(TargetDoor.name, entry, TargetDoor)
        if placed is None:
            link = StageLink()
            placed = PlacedStage(TargetDoor.name, entry, TargetDoor(self._config.egress), self._context, link)
        self._placed.append(placed)
        return cast("TargetDoor", placed.stage)

    def _provider(self, entry: ProviderConfig) -> Provider:
        row = row_of(entry)
        try:
            base_url = _address(entry, row)
        except ValueError as failure:
            raise ConfigError(f"providers.{entry.name}: {failure}") from None
        said = self._lists.get(entry.name)
        provider = Provider(
            name=entry.name,
            row=_with_list(_with_fields(entry, row, base_url), () if said is None else said.models),
            base_url=base_url,
            secret=entry.secret,
            keys=entry.keys,
            tags=entry.tags,
            described=entry.described,
            models=entry.models,
            headers=entry.headers,
            timeouts=entry.timeouts or self._config.timeouts,
            passthrough=entry.passthrough,
            prices=self._prices(entry, row, base_url),
        )
        provider = attrs.evolve(provider, mount=mount_of(provider))
        placed = self._place("providers", entry.adapter)
        adapter = cast("ProviderAdapter[Any]", placed.stage)
        transport = self._inheritance.transport(adapter)
        if transport is None:
            transport = adapter.make_transport(placed.context) or self._context.transport
        return self._running(ProviderRuntime(provider, adapter, transport, origin_of(base_url), entry.retries))

    def _running(self, made: ProviderRuntime) -> Provider:
        """Keep the runtime of a provider, and one for each of its keys where it has several."""
        runtime = self._inheritance.runtime(made)
        self._runtimes[runtime.provider] = runtime
        if runtime.provider.keys:
            self._pools[runtime.provider] = [self._with_key(made, key) for key in made.provider.keys]
        return runtime.provider

    def _with_key(self, made: ProviderRuntime, key: ProviderKey) -> PooledKey:
        provider = attrs.evolve(made.provider, secret=key.secret, keys=())
        return PooledKey(self._running(attrs.evolve(made, provider=provider)), key.weight)

    def _prices(self, entry: ProviderConfig, row: ProviderRow | None, base_url: str) -> VendorPrices | None:
        """What the provider's models cost: found out when it is asked for."""
        prices = self._config.prices
        if not prices.enabled:
            return None
        said = self._lists.get(entry.name)
        return VendorPrices(
            entry.name,
            None if row is None else row.name,
            base_url,
            prices.models,
            prices.imported,
            {} if said is None else said.prices,
        )

    def _unified(self, providers: Mapping[str, Provider], shared: Sequence[Interceptor[Any]]) -> Route:
        config = self._config
        own = [self._stage("interceptors", one) for one in config.unified_interceptors]
        return Route(
            id=None,
            balances={},
            fallback=self._priority("unified-api"),
            mapping=ModelMapping(),
            chain=Chain([*shared, *own]),
            retries=config.unified_retries or config.retries,
            providers={name: one for name, one in providers.items() if not one.row.relay_only},
            aliases=ModelMapping(config.models, config.model_audiences),
            larger=_members(config.unified_larger_models, providers),
            required_tags=config.unified_required_tags,
            **self._resilience("unified-api", config.unified_resilience),
            unsupported=config.unsupported,
        )

    def _router(
        self, entry: RouterConfig, providers: Mapping[str, Provider], shared: Sequence[Interceptor[Any]]
    ) -> Route:
        own = [self._stage("interceptors", one) for one in entry.interceptors]
        seen = {**providers, **{name: self._provider(one) for name, one in entry.providers.items()}}
        if entry.timeouts is not None:
            seen = {name: self._waiting(name, one, entry, entry.timeouts) for name, one in seen.items()}
        balances = {Operation(name): self._balance(entry, one, seen) for name, one in entry.balances.items()}
        return Route(
            id=entry.id,
            balances=balances,
            fallback=self._priority(f"routers.{entry.id}"),
            mapping=self._mapping(entry, balances),
            chain=Chain([*shared, *own]),
            retries=entry.retries or self._config.retries,
            providers=seen,
            total=entry.timeouts.total if entry.timeouts is not None else None,
            larger=_members(entry.larger_models, seen),
            required_tags=entry.required_tags,
            **self._resilience(f"routers.{entry.id}", entry.resilience),
            unsupported=self._config.unsupported.under(entry.unsupported),
        )

    def _resilience(self, scope: str, own: ResilienceConfig) -> dict[str, Any]:
        """The fields of a route that a scope may set and else has from the gateway; one budget for all who share it."""
        shared = self._config.resilience
        owner = "global" if own.retry_budget is None else scope
        budget = self._budgets.get(owner)
        if budget is None:
            config = own.retry_budget or shared.retry_budget or RetryBudgetConfig()
            budget = self._budgets[owner] = self._inheritance.budget(owner, config)
        resend = shared.resend_unknown if own.resend_unknown is None else own.resend_unknown
        on_disconnect = own.on_disconnect or shared.on_disconnect
        caller_keys = shared.caller_keys if own.caller_keys is None else own.caller_keys
        return {
            "budget": budget,
            "resend_unknown": resend is not False,
            "drains": on_disconnect == "drain",
            "caller_keys": caller_keys is True,
            "hedge_after": shared.hedge_after if own.hedge_after is None else own.hedge_after,
        }

    def _waiting(self, name: str, provider: Provider, router: RouterConfig, timeouts: Timeouts) -> Provider:
        """The provider as a router with time-outs of its own sees it; those of the provider itself win."""
        written = router.providers.get(name) or self._config.providers[name]
        if written.timeouts is not None:
            return provider
        return self._running(attrs.evolve(self._runtimes[provider], provider=attrs.evolve(provider, timeouts=timeouts)))

    def _balance(self, router: RouterConfig, entry: BalanceConfig, providers: Mapping[str, Provider]) -> Balance:
        missing = [one.provider for one in entry.members if one.provider not in providers]
        if missing:
            raise ConfigError(f"routers.{router.id}: provider {missing[0]!r} is not configured")
        members = _members(entry.members, providers)
        *outer, strategy = [self._stage("routing", one) for one in (entry.strategy, *entry.over)]
        for one in reversed(outer):
            strategy = Wrapping(one, strategy)
        return Balance(strategy, members, entry.by_model, entry.grouped)

    def _mapping(self, entry: RouterConfig, balances: Mapping[Operation, Balance]) -> ModelMapping:
        """The mapping of a router: its own, else the default where it lists several vendors and so asks for it."""
        if entry.model_mappings is not None:
            return ModelMapping(entry.model_mappings)
        vendors = {member.provider.row.name for balance in balances.values() for member in balance.members}
        if len(vendors) < 2:
            return ModelMapping()
        operators = self._config.model_mapping
        return ModelMapping(default_model_mapping() if operators is None else operators)

    def _priority(self, owner: str) -> Any:
        return self._stage("routing", StageConfig(id=f"{owner}.order", use="priority", config=self._default("routing")))

    def _default(self, kind_id: str) -> Any:
        stage_class = self._registry.find(kind_id, "priority")
        assert stage_class is not None, "priority is built in"
        return stage_class.config_class()


def _cache(stage: Stage[Any], context: StageContext) -> SecretCache | None:
    """What keeps the secrets of a store that wants it."""
    if not isinstance(stage, SecretStore) or stage.caching is None:
        return None
    return SecretCache(stage.fetch, stage.caching, context.clock, renew=stage.refresh)


def _members(entries: Sequence[MemberConfig], providers: Mapping[str, Provider]) -> Sequence[Member]:
    return [Member(providers[one.provider], one.model, one.weight, one.tags, one.audience) for one in entries]


def origin_of(base_url: str) -> str:
    """``scheme://host[:port]`` of an address that has been checked already."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}"


_USUAL_PATHS: Final = {
    "anthropic-messages": "/messages",
    "bedrock-anthropic": "host:/model/{model}/invoke",
    "bedrock-converse": "host:/model/{model}/converse",
    "cohere-chat": "host:/v2/chat",
    "ollama-chat": "host:/api/chat",
    "openai-responses": "/responses",
}
"""Where servers that no row knows are taken to speak a format."""


def _formats_of(name: str) -> Mapping[str, str]:
    """What a server that no row knows is taken to speak: an OpenAI-compatible one has more than chat, or says 404."""
    if name == "gemini-generate-content":
        return {name: "/models/{model}:generateContent", "gemini-count-tokens": "/models/{model}:countTokens"}
    if name != "openai-chat":
        return {name: _USUAL_PATHS.get(name, "/chat/completions")}
    return {
        "openai-chat": "/chat/completions",
        "openai-embeddings": "/embeddings",
        "openai-completions": "/completions",
        "openai-images": "/images/generations",
        "openai-image-edits": "/images/edits",
        "openai-image-variations": "/images/variations",
        "openai-speech": "/audio/speech",
        "openai-transcriptions": "/audio/transcriptions",
        "openai-translations": "/audio/translations",
        "openai-moderations": "/moderations",
        "rerank": "/rerank",
    }


def _credential_of(wire_format: str | None) -> CredentialHeader:
    """How a server that no row knows wants its credential: as the clients of its format send it."""
    return CredentialHeader("x-goog-api-key", "") if wire_format == "gemini-generate-content" else CredentialHeader()


def _address(entry: ProviderConfig, row: ProviderRow | None) -> str:
    """Where requests to a provider go; an adapter of a kind of its own, with a transport of its own, may need none."""
    if row is None and entry.base_url is None and entry.adapter.use != "openai":
        return f"{entry.adapter.use}://{entry.name}"
    return resolve_base_url(row, entry.base_url, entry.version_path)


def _row_as_configured(entry: ProviderConfig, row: ProviderRow | None, base_url: str) -> ProviderRow:
    """The catalogue's row under the operator's settings, or a row made for a provider that no row knows."""
    if row is None:
        return ProviderRow(
            name=entry.name,
            title=entry.name,
            base_url=entry.base_url,
            formats=_formats_of(entry.format or "openai-chat"),
            credential=None if entry.keyless else _credential_of(entry.format),
            keyless=bool(entry.keyless),
            relay_paths=OPENAI_RELAY_PATHS,
            files="openai" if entry.format in {None, "openai-chat"} else "",
            sockets=OPENAI_SOCKETS if (entry.format or "openai-chat").startswith("openai-") else {},
            source="the configuration",
        )
    if entry.keyless is not None:
        row = attrs.evolve(row, keyless=entry.keyless)
    if entry.format is not None and entry.format not in row.formats:
        return attrs.evolve(row, formats={entry.format: "/chat/completions"})
    place = f"/{(row.base_url or '').rpartition('/')[2]}"
    formats = row.formats
    if not base_url.endswith(place):  # whose address leads elsewhere has nothing beside it that the row could know of
        formats = {name: path for name, path in formats.items() if not path.startswith(AT_HOST)}
    if entry.format is not None:  # what the operator names is what requests are translated into
        formats = {entry.format: formats.get(entry.format, row.formats[entry.format]), **formats}
    return row if formats is row.formats else attrs.evolve(row, formats=formats)


def _with_fields(entry: ProviderConfig, row: ProviderRow | None, base_url: str) -> ProviderRow:
    made = _row_as_configured(entry, row, base_url)
    fields = {**made.chat_fields, **entry.chat_fields}
    return attrs.evolve(made, chat_fields=fields) if entry.chat_fields else made


def _with_list(row: ProviderRow, listed: Sequence[ListedModel]) -> ProviderRow:
    """The row with what its provider says it has; a list does not close a row that takes any model."""
    if not listed:
        return row
    return attrs.evolve(row, listed={one.id: one for one in listed})
