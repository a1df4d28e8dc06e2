"""Sessions over a WebSocket: OpenAI's Realtime API, the WebSocket mode of its Responses API, and the direct relay's.

Nothing is accepted before the caller is known. A session whose address names the model is accepted once a provider has
accepted it, so that every error before that is a plain HTTP answer; one whose first event names the model must be
accepted first, and errors are events then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.routing import Route

from llmgate.catalogue.relaying import without_credentials
from llmgate.formats.sessions import OPAQUE, SESSIONS, SessionFormat
from llmgate.host.bridge import Bridge
from llmgate.host.calls import Call, Stop
from llmgate.host.endpoints import Endpoint
from llmgate.host.errors import RefusedError
from llmgate.host.headers import relayed_request_headers
from llmgate.host.upgrades import POLICY, Upgrade, check_handshake
from llmgate.spec import (
    GatewayError,
    GatewayRequest,
    InvalidRequestError,
    PermissionDeniedError,
    RelayTarget,
    SocketClose,
    SocketMessage,
)
from llmgate.wire.alarm import Alarm

from .openai import PREFIXES, SURFACE

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame, Session

__all__ = ["REALTIME", "RESPONSES", "hold_session", "realtime", "responses", "routes", "socket_routes"]

OWN_PREFIXES: Final = ("/as/openai", "/as/openai/v1")


async def realtime(call: Call) -> None:
    """Hold a session of the Realtime API."""
    await hold_session(call, SESSIONS["openai-realtime"])


async def responses(call: Call) -> None:
    """Hold a connection of the Responses API's WebSocket mode."""
    await hold_session(call, SESSIONS["openai-responses"])


REALTIME: Final = Endpoint(("GET",), realtime)
RESPONSES: Final = Endpoint(("GET",), responses)


def routes() -> list[Route]:
    """The addresses that serve nothing but sessions; what is no WebSocket is told so there."""
    return [Route(path, endpoint) for path, endpoint in socket_routes().items() if endpoint is REALTIME]


def socket_routes() -> Mapping[str, Endpoint]:
    """Every address at which a WebSocket is served; some serve other requests as well, elsewhere."""
    prefixes = (*PREFIXES, *OWN_PREFIXES)
    return {f"{prefix}/realtime": REALTIME for prefix in prefixes} | {
        f"{prefix}/responses": RESPONSES for prefix in prefixes
    }


async def hold_session(
    call: Call,
    session_format: SessionFormat = OPAQUE,
    *,
    surface: str = SURFACE,
    provider: str | None = None,
    path: str = "",
    permit: GatewayError | None = None,
) -> None:
    """Hold a session, from its handshake to its end.

    Args:
        call: The request.
        session_format: What is said in it.
        surface: Which door it came through, for the record.
        provider: The only provider that may hold it, where the address names one.
        path: The path at the provider's host, for a session of which nothing is known.
        permit: Why the caller may not have it, None where it may; said once the caller is known.
    """
    async with call.exchange(session_format.operation, surface) as exchange:
        client = check_handshake(call.upgrade, call.headers)
        if permit is not None:
            raise permit
        with call:
            client.on_lost(lambda: _leave(call))
            holder = _Holder(call, exchange, client, session_format, provider, path)
            if session_format.one_model:
                await holder.accept_and_open()
            else:
                await holder.open_and_accept()


class _Holder:
    """One session of a client.

    Args:
        call: The request.
        exchange: Its exchange.
        client: The client's end.
        session_format: What is said in it.
        provider: The only provider that may hold it.
        path: The path at the provider's host.
    """

    def __init__(
        self,
        call: Call,
        exchange: ExchangeFrame,
        client: Upgrade,
        session_format: SessionFormat,
        provider: str | None,
        path: str,
    ) -> None:
        self._call = call
        self._exchange = exchange
        self._client = client
        self._format = session_format
        self._provider = provider
        self._path = path

    async def open_and_accept(self) -> None:
        """The usual order: a provider first, then the client."""
        watching = asyncio.create_task(self._watch())
        try:
            session = await self._open(self._model_in_query())
        finally:
            watching.cancel()
        await self._accept(session.subprotocol, served=True)
        await self._relay(session, None)

    async def _watch(self) -> None:
        """Stop asking providers when the client does not wait for it."""
        await self._client.departure()
        self._call.stop(Stop.LEFT)

    async def accept_and_open(self) -> None:
        """The client first, since only its first event tells which model it wants."""
        await self._accept(None)
        opened = await self._first_event()
        if opened is None:
            return
        first, model = opened
        try:
            session = await self._open(model)
        except GatewayError as error:
            await self._tell(error)
            raise
        await self._relay(session, first)

    async def _first_event(self) -> tuple[SocketMessage, str] | None:
        """The first event that names a model; None when the client closes before it says one."""
        limits = self._call.desk.config.sessions
        try:
            with Alarm(limits.idle):
                while True:
                    first = await self._client.receive()
                    if isinstance(first, SocketClose):
                        return None
                    try:
                        for model in self._format.models_in(first.data):
                            return first, model.name
                        raise InvalidRequestError(
                            "the first event must be response.create with a model",
                            param="model",
                        )
                    except InvalidRequestError as error:
                        await self._tell(error)
        except TimeoutError:
            await self._client.close(SocketClose(POLICY, f"no event came within {limits.idle:g} s"))
            return None

    async def _open(self, model: str) -> Session:
        call, wanted = self._call, self._format
        try:
            query = without_credentials(call.query)
        except ValueError as error:
            raise RefusedError(400, f"{error}: write it plainly", code="invalid_path", close=True) from None
        if wanted is OPAQUE:
            target = RelayTarget("GET", f"{self._path}?{query}" if query else self._path)
            headers = relayed_request_headers(call.headers)
        else:
            target = RelayTarget("GET", query, session=wanted.name)
            headers = {name: text for name, text in call.headers.items() if name in wanted.request_headers}
        request = GatewayRequest(
            operation=wanted.operation,
            format=wanted.name,
            body=b"",
            model=model,
            stream=True,
            router=call.params.get("router"),
            headers=headers,
            relay=target,
        )
        return await self._exchange.session(request, self._provider, subprotocols=self._client.offered)

    def _model_in_query(self) -> str:
        """The model that the address names; ``""`` for none, which only the direct relay takes.

        Raises:
            InvalidRequestError: it names none or several.
        """
        if not self._format.model_in_query:
            return ""
        query = parse_qsl(self._call.query)
        principal = self._exchange.exchange.principal
        if principal is not None and principal.is_restricted and any(name == "call_id" for name, _ in query):
            raise PermissionDeniedError(
                "this key may not call every model, and the model of a call that is under way cannot be seen",
                param="call_id",
                code="model_not_allowed",
            )
        names = {value for name, value in query if name == "model"}
        if len(names) == 1:
            return names.pop()
        if names or self._provider is None:
            raise InvalidRequestError(
                "the address must name one model: add ?model=NAME, or open the session at the provider's own address, "
                "/PROVIDER/v1/realtime",
                param="model",
            )
        return ""

    async def _accept(self, chosen: str | None, *, served: bool = False) -> None:
        """Open the client's end; a browser gives up where it offered subprotocols and none was chosen."""
        call, offered = self._call, self._client.offered
        headers = call.answer_headers([])
        if served:
            headers += call.provenance(self._exchange.exchange)
        call.reply.status = 101
        await self._client.accept(chosen if chosen in offered else next(iter(offered), None), headers)

    async def _relay(self, session: Session, first: SocketMessage | None) -> None:
        end = await Bridge(self._call, self._client, session).run(first)
        await self._exchange.seal()
        if end is not None:
            await self._client.close(end)

    async def _tell(self, error: GatewayError) -> None:
        event = SocketMessage(self._format.error_event(error, f"event_{self._exchange.id}"))
        await self._client.send(event, self._call.desk.settings.send_timeout)


def _leave(call: Call) -> None:
    call.stop(Stop.LEFT)
