"""WebSockets out, on aiohttp: the handshake through the guarded connector, and the open socket behind it.

aiohttp's own ``ws_connect`` follows redirects with every header, and throws the body of a refusal away; a middleware
that looks at the answer first settles both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from aiohttp import (
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    DummyCookieJar,
    WebSocketError,
    WSMsgType,
    WSServerHandshakeError,
)
from yarl import URL

from llmgate.spec import (
    NO_STATUS,
    ProviderConnectionError,
    ProviderError,
    ProviderRequest,
    ProviderResponse,
    ProviderTimeoutError,
    SocketClose,
    SocketMessage,
    SocketOptions,
)

from .alarm import Alarm
from .connector import GuardedConnector
from .failures import broken_answer, opening_failure
from .headers import lowered

__all__ = ["AiohttpSocket", "open_socket"]

_LARGEST_REFUSAL: Final = 1024 * 1024
"""Bytes of an answer that refuses the upgrade; nothing larger is an error that anybody reads."""
_MAX_HEADER_BYTES: Final = 32 * 1024
_NORMAL: Final = 1000
_TOO_BIG: Final = 1009
_SILENT_CODES: Final = frozenset({0, NO_STATUS, 1006, 1015})
"""Codes that stand for something and are never sent."""


class _RefusedError(Exception):
    """The provider answered the handshake with something else.

    Args:
        response: Its answer.
    """

    def __init__(self, response: ProviderResponse) -> None:
        super().__init__(response.status)
        self.response = response


async def open_socket(
    request: ProviderRequest,
    options: SocketOptions,
    *,
    url: URL,
    headers: dict[str, str],
    connector: GuardedConnector,
    proxy: str | None = None,
    done: Callable[[], None],
) -> AiohttpSocket | ProviderResponse:
    """Shake hands with a provider.

    Args:
        request: What is asked.
        options: How the socket behaves.
        url: The checked address.
        headers: The checked headers.
        connector: Where connections come from.
        proxy: What they go through; None for nothing.
        done: Called once when the socket that was opened has been closed.

    Returns:
        The open socket, or the answer that refuses it.

    Raises:
        ProviderError: one of the three kinds that the ``Transport`` names.
    """
    waits = request.timeouts
    timeout = ClientTimeout(total=None, connect=_finite(waits.connect), sock_read=_finite(waits.first_byte))
    session = ClientSession(
        connector=connector,
        connector_owner=False,
        proxy=proxy,
        timeout=timeout,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        max_field_size=_MAX_HEADER_BYTES,
        middlewares=(_stop_at_refusal,),
    )
    failure: ProviderError
    try:
        with Alarm(_finite(waits.connect + waits.first_byte)):
            socket = await session.ws_connect(
                url,
                headers=headers,
                protocols=options.subprotocols,
                max_msg_size=options.max_message_bytes + 1,  # aiohttp wants less than that
                heartbeat=options.heartbeat,
                autoclose=False,
                compress=0,
                decode_text=False,
                timeout=ClientWSTimeout(ws_close=options.close_timeout),
            )
        return AiohttpSocket(socket, request, options, done)
    except _RefusedError as refused:
        return refused.response
    except WSServerHandshakeError as exc:
        # aiohttp's words name the header that is wrong and quote nothing.
        failure = broken_answer(request, f"broke the WebSocket handshake ({exc.message.lower()})", status=exc.status)
    except Exception as exc:  # noqa: BLE001 - the contract allows three classes; a cancellation is not among these
        failure = opening_failure(exc, request)
    finally:
        session.detach()
    raise failure


async def _stop_at_refusal(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Let nothing but 101 through, before a redirect can be followed."""
    response = await handler(request)
    if response.status == 101:
        return response
    try:
        body = await response.content.read(_LARGEST_REFUSAL)
        while len(body) < _LARGEST_REFUSAL and (piece := await response.content.read(_LARGEST_REFUSAL - len(body))):
            body += piece
    finally:
        response.close()
    raise _RefusedError(ProviderResponse(response.status, lowered(response.headers), body))


class AiohttpSocket:
    """An open WebSocket to a provider; implements ``spec.ProviderSocket``.

    Args:
        socket: aiohttp's.
        request: What opened it.
        options: How it behaves.
        done: Called once when it has been closed.
    """

    def __init__(
        self,
        socket: ClientWebSocketResponse[bool],
        request: ProviderRequest,
        options: SocketOptions,
        done: Callable[[], None],
    ) -> None:
        self.subprotocol = socket.protocol
        # aiohttp hands the handshake's answer to nobody else, and the request id stands in it.
        self.headers = lowered(socket._response.headers)  # noqa: SLF001
        self._socket = socket
        self._request = request
        self._options = options
        self._finished = done
        self._closed = False

    async def receive(self) -> SocketMessage | SocketClose:
        """The next message, or how the provider has closed."""
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            return SocketMessage(message.data)
        if message.type is WSMsgType.BINARY:
            return SocketMessage(message.data, text=False)
        if message.type is WSMsgType.CLOSE:
            end = SocketClose(message.data or NO_STATUS, message.extra or "")
            await self.close(end)
            return end
        failure = message.data if message.type is WSMsgType.ERROR else self._socket.exception()
        await self.close(SocketClose(1002))
        raise self._failure(failure)

    async def send(self, message: SocketMessage) -> None:
        """Send a message; waits while the provider does not keep up."""
        failure: ProviderError
        try:
            with Alarm(_finite(self._request.timeouts.idle)):
                await self._socket.send_frame(message.data, WSMsgType.TEXT if message.text else WSMsgType.BINARY)
            return
        except TimeoutError:
            failure = self._silent(f"took no bytes for {self._request.timeouts.idle:g} s")
        except Exception as exc:  # noqa: BLE001 - as when it is opened
            failure = self._failure(exc)
        raise failure

    async def close(self, end: SocketClose) -> None:
        """Say why, and close. Idempotent."""
        if self._closed:
            return
        self._closed = True
        code = _NORMAL if end.code in _SILENT_CODES else end.code
        try:
            with Alarm(self._options.close_timeout * 2):
                await self._socket.close(code=code, message=end.reason.encode())
        except TimeoutError:
            pass  # it does not even take the close frame: there is nothing more to say
        finally:
            self._socket._response.close()  # noqa: SLF001 - a cancelled close must not keep the connection
            self._finished()

    def _failure(self, exc: object) -> ProviderError:
        """The error behind what aiohttp says."""
        if isinstance(exc, TimeoutError):
            return self._silent("did not answer a ping")
        if isinstance(exc, WebSocketError):
            what = "sent too large a WebSocket message" if exc.code == _TOO_BIG else "broke the WebSocket framing"
            return broken_answer(self._request, what)
        name = self._request.provider_name
        return ProviderConnectionError(
            f"provider {name} closed the connection in the middle of a session",
            provider_name=name,
            code="provider_connection_lost",
            retryable=True,
        )

    def _silent(self, what: str) -> ProviderTimeoutError:
        name = self._request.provider_name
        return ProviderTimeoutError(
            f"provider {name} {what}", provider_name=name, code="provider_idle_timeout", retryable=True
        )


def _finite(seconds: float) -> float | None:
    """Seconds as aiohttp takes them: None for no bound."""
    return seconds if math.isfinite(seconds) else None
