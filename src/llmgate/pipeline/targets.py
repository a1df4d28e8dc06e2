"""The universal gateway: requests that go where their caller says, with the caller's own key or with none.

Such a request runs on a snapshot of its own, with one provider: its target. So nothing that the operator has configured
is within its reach, no key, no failover and no connection, and nothing that becomes of it is held against a provider.
What the operator wants done to requests (interceptors, retries, deadlines, records) is the unified API's.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from llmgate.catalogue import parse_target, provider_row
from llmgate.catalogue.prices import VendorPrices
from llmgate.config.egress import EgressConfig
from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import (
    AT_HOST,
    AttemptCall,
    CredentialHeader,
    InvalidRequestError,
    NoConfig,
    PermissionDeniedError,
    Provider,
    ProviderError,
    ProviderRequest,
    ProviderResponse,
    ProviderRow,
    Secret,
    Stage,
    StageContext,
    Target,
    Transport,
)
from llmgate.wire.egress import PUBLIC_TARGETS, EgressPolicy
from llmgate.wire.transport import AiohttpTransport

from .caller_keys import CallerKey, judged_apart, mark_of
from .naming import ModelMapping
from .snapshot import ProviderRuntime, Snapshot

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["Aim", "TargetAdapter", "TargetDoor", "TargetKey"]

_NOBODYS: Final = Secret("", callers=True)
"""Stands for the key of a caller who brings none: what a target says of that is his to read all the same."""


@attrs.frozen
class TargetKey:
    """The caller's own key at his target, and how he presents it."""

    secret: Secret
    header: CredentialHeader


class TargetAdapter(FormatAdapter[NoConfig]):
    """Sends what it is given to the very path that the caller wrote, and hides nothing of the answer from him."""

    name = "target"
    config_class = NoConfig

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The HTTP request for a call; a format has no say in its address."""
        built = super().build_request(call)
        if call.relay is not None:
            return built
        provider = call.deployment.provider
        return attrs.evolve(built, url=f"{provider.base_url}{provider.path_of(call.format.name)}")

    def parse_error(self, call: AttemptCall, response: ProviderResponse) -> ProviderError:
        """The error behind a status that is no success; the caller chose whom to ask, so its words are his."""
        error = super().parse_error(attrs.evolve(call, secret=call.secret or _NOBODYS), response)
        if error.upstream_status is not None and response.headers.get("content-type", "").startswith(
            "application/json"
        ):
            error.body = response.body
        return error


@attrs.frozen(eq=False)
class Aim:
    """A target, as an exchange goes to it.

    Args:
        target: The target.
        provider: The provider that stands for it.
        runtime: What speaks to it.
        key: The caller's own key; None for none.
    """

    target: Target
    provider: Provider
    runtime: ProviderRuntime
    key: TargetKey | None

    def __call__(self, frame: ExchangeFrame) -> None:
        """Have an exchange go there and nowhere else; before anything is sent."""
        frame.exchange.target = self.target
        frame.snapshot = self._alone(frame.snapshot)
        if self.key is not None:
            frame.caller_key = self.key.secret
            frame.exchange.caller_key = mark_of(self.key.secret)
            frame.secrets = CallerKey(self.key.secret, frame.clock)

    def _alone(self, snapshot: Snapshot) -> Snapshot:
        providers = MappingProxyType({self.provider.name: self.provider})
        return attrs.evolve(
            judged_apart(snapshot),
            aimed=self.provider,
            runtimes=MappingProxyType({self.provider: self.runtime}),
            providers=providers,
            routers={},
            unified=attrs.evolve(snapshot.unified, providers=providers, aliases=ModelMapping(), caller_keys=False),
        )


class TargetDoor(Stage[EgressConfig]):
    """Where requests leave that name their own target: connections of their own, under a guard of their own.

    It is there only where the operator lets callers choose, and made like a stage so that a reload keeps it.
    """

    name = "target-door"
    config_class = EgressConfig

    def __init__(self, config: EgressConfig) -> None:
        super().__init__(config)
        self._guard: EgressPolicy = attrs.evolve(PUBLIC_TARGETS, listed=frozenset(config.places()))
        self._adapter = TargetAdapter(NoConfig())
        self._transport: Transport | None = None
        self._own: AiohttpTransport | None = None

    async def open(self, context: StageContext) -> None:
        """Make the transport; one that an application has brought serves for these requests, too."""
        if isinstance(context.transport, AiohttpTransport):
            self._own = AiohttpTransport(egress=self._guard)
        self._transport = self._own or context.transport

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        self._transport = None
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()

    def read(self, url: str, *, path: str, label: str) -> Target:
        """The target that a caller names.

        Args:
            url: Its address, of which only the origin counts.
            path: The path of the request, its query behind it.
            label: What the caller calls the provider.

        Raises:
            InvalidRequestError: it is no address that everybody reads alike.
        """
        try:
            return parse_target(url, path=path, label=label)
        except ValueError as wrong:
            raise InvalidRequestError(
                f"Helicone-Target-URL is refused: {wrong}", param="Helicone-Target-URL", code="invalid_target_url"
            ) from None

    def admit(self, target: Target) -> None:
        """Refuse what may not be called, whoever asks.

        Raises:
            PermissionDeniedError: naming what is wrong, and the operator's remedy.
        """
        if self.is_listed(target):
            return
        # A courtesy: what counts is the check at the socket, of what a name leads to.
        if (":" in target.host or target.host.rpartition(".")[2].isdecimal()) and self._guard.is_forbidden(target.host):
            raise PermissionDeniedError(
                "the target has an address that no caller may choose: the operator can list its host and port under "
                "egress.allow",
                code="target_not_allowed",
            )
        if target.origin.startswith("http://"):
            raise PermissionDeniedError(
                "the target is called without TLS, which would show keys and prompts to everybody on the way: write "
                "https://, or have the operator list its host and port under egress.allow",
                code="target_not_allowed",
            )

    def is_listed(self, target: Target) -> bool:
        """Whether the operator vouches for a target's host and port."""
        return (target.host, target.port) in self._guard.listed

    def aim(self, snapshot: Snapshot, target: Target, wire_format: str | None, key: TargetKey | None) -> Aim:
        """What sends an exchange to a target.

        Args:
            snapshot: What is configured.
            target: The target.
            wire_format: The wire format that its path speaks; None for none that is known.
            key: The caller's own key there; None where he presents none in a header.
        """
        assert self._transport is not None, "a stage is opened before it serves"
        provider = Provider(
            name=target.authority,
            row=_row(target, () if wire_format is None else (wire_format,), key),
            base_url=target.origin,
            timeouts=snapshot.config.timeouts,
            passthrough=True,
            prices=_prices(snapshot, target),
        )
        return Aim(target, provider, ProviderRuntime(provider, self._adapter, self._transport, target.origin), key)


def _prices(snapshot: Snapshot, target: Target) -> VendorPrices | None:
    """What the vendor's models cost whose host a target is; of any other only what the operator says."""
    prices = snapshot.config.prices
    if not prices.enabled:
        return None
    return VendorPrices(target.row or target.host, target.row or None, None, prices.models, prices.imported)


def _row(target: Target, formats: Collection[str], key: TargetKey | None) -> ProviderRow:
    """What is known of a target: the row of the vendor whose host it is, with its path and key as written."""
    known = provider_row(target.row)
    changes: dict[str, Any] = {
        "formats": dict.fromkeys(formats, AT_HOST + target.path),
        "credential": None if key is None else key.header,
        "relay_credential": None,
        "keyless": key is None,
        "headers": {},
        "sockets": {},
        "relay_only": False,
    }
    if known is None:
        known = ProviderRow(name=target.host, title=target.host, base_url=target.origin, source="the caller")
    return attrs.evolve(known, **changes)
