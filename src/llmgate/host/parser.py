"""What reads the bytes of a connection: HTTP/1.1, strictly; behind a WebSocket's handshake nothing but frames."""

from __future__ import annotations

from typing import Any, Final

import h11
from hypercorn.protocol.events import Data
from hypercorn.protocol.h11 import STREAM_ID

from .plain import PlainExchange, read_plain

__all__ = ["FramesOnly", "StrictParser"]


class StrictParser(h11.Connection):
    """h11, less what two servers may read in two ways; what is plain in form is not asked of it at all."""

    asks_for_socket = False
    """Whether the request that was read last asks for a WebSocket."""
    plain: PlainExchange | None = None
    """The request under way where h11 knows nothing of it."""
    head = b""
    """What has come of a request that h11 is reading the head of, or has refused."""
    _fresh = b""
    """What has come of the next request, which h11 is not given before it is clear that it must read it."""

    @property
    def our_state(self) -> Any:
        """What we may send next."""
        return super().our_state if self.plain is None else self.plain.our_state

    @property
    def their_state(self) -> Any:
        """What the client may send next."""
        return super().their_state if self.plain is None else self.plain.their_state

    @property
    def they_are_waiting_for_100_continue(self) -> bool:
        """Whether the client wants a sign before it sends the body."""
        return self.plain is None and super().they_are_waiting_for_100_continue

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        """What has come behind the request, and whether the client sends no more."""
        if self.plain is not None:
            return self.plain.rest, False
        rest, ended = super().trailing_data
        return self._fresh + rest, ended

    def receive_data(self, data: bytes) -> None:
        """Take bytes."""
        if self.plain is not None:
            self.plain.receive_data(data)
        elif super().their_state is h11.IDLE and not super().trailing_data[0]:
            self._fresh += data
        else:
            super().receive_data(data)

    def send(self, event: Any) -> Any:
        """The bytes of an event."""
        return super().send(event) if self.plain is None else self.plain.send(event)

    def start_next_cycle(self) -> None:
        """Be ready for another request.

        Raises:
            h11.LocalProtocolError: this one is not over on both sides.
        """
        if self.plain is None:
            super().start_next_cycle()
        elif self.plain.our_state is h11.DONE and self.plain.their_state is h11.DONE:
            self._fresh, self.plain = self.plain.rest, None
        else:
            raise h11.LocalProtocolError("the request is not over")

    def next_event(self) -> Any:
        """The next event of the request.

        Raises:
            h11.RemoteProtocolError: the request is not what this server takes.
        """
        if self.plain is not None:
            return self.plain.next_event()
        if self._fresh:
            fresh, self._fresh = self._fresh, b""
            read = read_plain(fresh)
            if read is not None:
                self.asks_for_socket = False
                request, self.plain = read
                return request
            super().receive_data(fresh)
        return self._next_by_h11()

    def _next_by_h11(self) -> Any:
        if self.their_state is not h11.IDLE:
            return super().next_event()
        data, _ = self.trailing_data
        self.head = data
        end = data.find(b"\r\n\r\n")
        # A carriage return at the very end may be half of a line end whose other half has not come.
        head = data[: end + 2] if end >= 0 else data.removesuffix(b"\r")
        if _is_loose(head):
            raise h11.RemoteProtocolError("line ends must be CR LF", error_status_hint=400)
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        if event.http_version not in VERSIONS:
            raise h11.RemoteProtocolError("only HTTP/1.1 is spoken here", error_status_hint=505)
        if event.method != event.method.upper():
            raise h11.RemoteProtocolError("methods are written in capitals", error_status_hint=400)
        lower, self.head = head.lower(), b""
        if not any(name in lower for name in UPGRADES):
            self.asks_for_socket = False
            return event
        self.asks_for_socket = _asks_for_socket(event)
        return _without_upgrade(event)


def _is_loose(head: bytes) -> bool:
    """Bare line feeds, bare carriage returns, folded lines: h11 takes them, a proxy may read them differently."""
    lines = head.count(b"\r\n")
    return not (head.count(b"\n") == lines == head.count(b"\r")) or b"\n " in head or b"\n\t" in head


def _without_upgrade(request: h11.Request) -> h11.Request:
    """An Upgrade may always be ignored (RFC 9110, section 7.8); HTTP/2 is not served."""
    if not any(name in UPGRADES for name, _ in request.headers):
        return request
    return h11.Request(
        method=request.method,
        target=request.target,
        headers=[(name, value) for name, value in request.headers if name not in UPGRADES],
        http_version=request.http_version,
    )


VERSIONS: Final = frozenset({b"1.0", b"1.1"})
UPGRADES: Final = frozenset({b"upgrade", b"http2-settings"})


def _asks_for_socket(request: h11.Request) -> bool:
    """Whether a request asks for a WebSocket (RFC 6455, section 4.2.1) in a way that may be listened to.

    One with a body, in another method or in HTTP/1.0 is served as if it had not asked.
    """
    fields = dict(request.headers)
    return (
        request.method == b"GET"
        and request.http_version == b"1.1"
        and b"websocket" in _tokens(fields.get(b"upgrade", b""))
        and b"upgrade" in _tokens(fields.get(b"connection", b""))
        and fields.get(b"content-length", b"0") == b"0"
        and b"transfer-encoding" not in fields
    )


def _tokens(value: bytes) -> set[bytes]:
    return {token.strip() for token in value.lower().split(b",")}


class FramesOnly:
    """Stands in for h11 once the connection is a WebSocket's: what comes is handed on as it is.

    Args:
        rest: What came behind the handshake already.
    """

    our_state = None  # the connection is never used for another request
    plain = None
    their_state = h11.SEND_BODY  # the client may be sending: it is listened to for a moment when all is over
    they_are_waiting_for_100_continue = False
    trailing_data = (b"", False)

    def __init__(self, rest: bytes) -> None:
        self._rest = rest

    def receive_data(self, data: bytes) -> None:
        """Take bytes."""
        self._rest += data

    def next_event(self) -> Any:
        """What has come since the last time."""
        rest, self._rest = self._rest, b""
        return Data(STREAM_ID, data=rest) if rest else h11.NEED_DATA

    def send(self, event: Any) -> bytes:
        """Nothing of HTTP can be sent any more.

        Raises:
            h11.LocalProtocolError: always.
        """
        raise h11.LocalProtocolError(f"{type(event).__name__} cannot be sent on a WebSocket")
