"""Stages as a plugin writes them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from llmgate.spec import (
    Attempt,
    AuthProvider,
    Credentials,
    Deployment,
    ExchangeView,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    Logger,
    NoConfig,
    Principal,
    Record,
    RoutingContext,
    RoutingStrategy,
    Secret,
    SecretRef,
    SecretStore,
    StageContext,
    hookimpl,
)


@attrs.frozen
class HeaderConfig:
    header: str = "x-user"


class HeaderAuth(AuthProvider[HeaderConfig]):
    name = "header"
    config_class = HeaderConfig

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        user = credentials.headers.get(self.config.header)
        return Principal(id=user, issuer=self.name) if user else None


class Fixed(SecretStore[NoConfig]):
    name = "fixed"

    async def open(self, context: StageContext) -> None:
        self.clock = context.clock

    async def fetch(self, ref: SecretRef) -> Secret:
        return Secret("value", ref, version=str(self.clock.now()))


class Shuffled(RoutingStrategy[NoConfig]):
    name = "shuffled"

    def rank(
        self, view: ExchangeView, deployments: Sequence[Deployment], context: RoutingContext
    ) -> Sequence[Deployment]:
        return sorted(deployments, key=lambda deployment: context.random())

    def finished(self, attempt: Attempt) -> None:
        print(attempt.error)


class Cap(Interceptor[NoConfig]):
    name = "cap"

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        return request.edited(max_output_tokens=100)


class Count(Logger[NoConfig]):
    name = "count"

    async def record(self, record: Record) -> None:
        print(record.usage)


@hookimpl
def llmgate_register_loggers() -> type[Count]:
    return Count
