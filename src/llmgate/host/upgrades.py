"""The client's end of a WebSocket as the surfaces see it: refused as plain HTTP, or accepted, and then spoken over.

A request for a WebSocket goes the way of every request first: the same checks, the same errors, the same answers. So
its two ASGI channels are shown as those of a GET until an endpoint accepts it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from llmgate.spec import (
    NO_STATUS,
    BudgetExceededError,
    GatewayClosedError,
    GatewayError,
    ProviderError,
    RateLimitError,
    SocketClose,
    SocketMessage,
)
from llmgate.wire.alarm import Alarm

from .credentials import is_private
from .errors import ClientLeftError, RefusedError
from .headers import Headers
from .mailbox import LOST, Mailbox

__all__ = ["Upgrade", "check_handshake", "close_of"]

VERSION: Final = "13"
KEY_BYTES: Final = 16
LONGEST_REASON: Final = 123
"""Bytes; a control frame holds 125 (RFC 6455, section 5.5)."""
NORMAL, GOING_AWAY, POLICY, FAILED, RESTART, LATER = 1000, 1001, 1008, 1011, 1012, 1013
UNSENDABLE: Final = frozenset({1004, NO_STATUS, LOST, 1015})


class Upgrade:
    """A client that asks for a WebSocket.

    Args:
        scope: The ASGI scope, of type ``websocket``.
        receive: The ASGI server's.
        send: The ASGI server's.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._read = False
        self._connected = False
        self._closed = False
        self.accepted = False
        self.offered: Sequence[str] = tuple(one for one in scope.get("subprotocols", ()) if not is_private(one))
        """The subprotocols that the client offers, less those that carry a credential or say who pays."""

    def as_request(self) -> Scope:
        """The scope as that of a GET."""
        return {
            "query_string": b"",
            "http_version": "1.1",
            "client": None,
            **self._scope,
            "type": "http",
            "method": "GET",
            "scheme": "https" if self._scope.get("scheme") == "wss" else "http",
        }

    async def receive_request(self) -> Message:
        """What ``receive`` gives an endpoint of HTTP: an empty body, then the departure."""
        if not self._read:
            self._read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (await self._receive())["type"] != "websocket.disconnect":
            pass
        return {"type": "http.disconnect"}

    async def send_response(self, message: Message) -> None:
        """Answer as plain HTTP, where the server can; else all that can be said is no."""
        if "websocket.http.response" in (self._scope.get("extensions") or {}):
            await self._send({**message, "type": f"websocket.{message['type']}"})
        elif message["type"] == "http.response.start":
            await self._send({"type": "websocket.close", "code": POLICY})

    def on_lost(self, notice: Callable[[], None]) -> None:
        """Call a function when the connection breaks, whatever is still unread; only our own server can tell."""
        mailbox = Mailbox.behind(self._receive)
        if mailbox is not None:
            mailbox.on_departure(notice)

    async def departure(self) -> None:
        """Wait until a client that has not been accepted leaves; it can say nothing else before that."""
        while True:
            kind = (await self._receive())["type"]
            self._connected = self._connected or kind == "websocket.connect"
            if kind == "websocket.disconnect":
                return

    async def accept(self, subprotocol: str | None, headers: Headers) -> None:
        """Open the WebSocket.

        Raises:
            ClientLeftError: the client has not waited.
        """
        if not self._connected and (await self._receive())["type"] != "websocket.connect":
            raise ClientLeftError
        self.accepted = True
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})

    async def receive(self) -> SocketMessage | SocketClose:
        """The client's next message, or how it has closed.

        Raises:
            ClientLeftError: the connection broke without a close frame.
        """
        message = await self._receive()
        if message["type"] == "websocket.receive":
            text = message.get("text")
            return SocketMessage(message["bytes"], text=False) if text is None else SocketMessage(text.encode())
        self._closed = True
        code = message.get("code", NO_STATUS)
        if code == LOST:
            raise ClientLeftError
        return SocketClose(code, message.get("reason") or "")

    async def send(self, message: SocketMessage, patience: float) -> None:
        """Send a message.

        Args:
            message: The message; text must be UTF-8.
            patience: Seconds that the client may refuse to take it.

        Raises:
            ClientLeftError: it does not read, or is gone.
        """
        content: dict[str, Any] = {"text": message.data.decode()} if message.text else {"bytes": message.data}
        try:
            with Alarm(patience):
                await self._send({"type": "websocket.send", **content})
        except (OSError, TimeoutError):  # the first is how some ASGI servers say that the peer is gone
            raise ClientLeftError from None

    async def close(self, end: SocketClose) -> None:
        """Close the WebSocket; a code that stands for something and is never sent becomes a normal end. Idempotent."""
        if self._closed:
            return
        self._closed = True
        reason = end.reason.encode()[:LONGEST_REASON].decode("utf-8", "ignore")
        code = NORMAL if end.code in UNSENDABLE else end.code
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


def check_handshake(upgrade: Upgrade | None, headers: Mapping[str, str]) -> Upgrade:
    """The client's end of a WebSocket, once its handshake is found right (RFC 6455, section 4.2.1).

    Raises:
        RefusedError: 426 or 400, saying what a handshake must have.
    """
    asks = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": VERSION}
    if upgrade is None:
        raise RefusedError(
            426,
            "this address serves WebSockets only: open it with ws:// or wss://, with `Upgrade: websocket` and "
            "`Connection: Upgrade`",
            code="upgrade_required",
            headers=asks,
        )
    if headers.get("sec-websocket-version", "").strip() != VERSION:
        raise RefusedError(
            426,
            f"only version {VERSION} of the WebSocket protocol is spoken here: send `Sec-WebSocket-Version: {VERSION}`",
            code="unsupported_websocket_version",
            headers=asks,
        )
    try:
        key = base64.b64decode(headers.get("sec-websocket-key", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise RefusedError(
            400,
            f"Sec-WebSocket-Key must be {KEY_BYTES} bytes in base64: leave it to a WebSocket library",
            code="invalid_websocket_key",
        )
    return upgrade


def close_of(error: GatewayError) -> SocketClose:
    """How a WebSocket is closed because of an error."""
    code = FAILED
    if isinstance(error, GatewayClosedError):
        code = RESTART
    elif isinstance(error, RateLimitError | BudgetExceededError):
        code = LATER
    elif not isinstance(error, ProviderError) and 400 <= error.http_status < 500:
        code = POLICY
    return SocketClose(code, error.message)
