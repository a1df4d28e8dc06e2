"""Connections that close at once, are reused only when clean, and report what is wrong with them.

Four things that aiohttp 3.14 leaves open are closed here, each held by a test:

* a connection that is given up is closed gracefully: TLS waits up to 30 s for the peer's good-bye, and an unsent body
  is sent first. A provider goes on generating, and billing, for as long;
* bytes that came while a connection was idle are handed to the next request as its answer;
* a connection that the peer has closed is found out only when the event loop gets round to reading it;
* a framing error in the middle of a body never reaches the reader of that body, which then waits for ever.
"""

from __future__ import annotations

import asyncio
import functools
import select
import ssl
from typing import TYPE_CHECKING, Final, cast

from aiohttp import ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from .egress import EgressPolicy

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["RECEIVED_AT_ONCE", "GuardedConnector"]

RECEIVED_AT_ONCE: Final = 32 * 1024
"""Upper bound of the bytes that are read from a socket at once."""


class _Handler(ResponseHandler):
    """The client's end of one connection."""

    used = False
    _due: float | None = None
    """When something must have come; None while nobody waits for anything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read from the socket in pieces that fit what a reader who does not keep up may leave unread."""
        super().connection_made(transport)
        # An asyncio transport takes 256 KiB at once; what goes beyond the buffer waits in aiohttp's parser, unbounded
        # by ``read_bufsize``. Other event loops have no such attribute.
        if hasattr(transport, "max_size"):
            transport.max_size = RECEIVED_AT_ONCE

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on after a pause; aiohttp asks for it at each piece that is taken, and would look for more each time."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nothing comes any more: the timer is not needed either."""
        super().connection_lost(exc)
        timer, self._read_timeout_handle = self._read_timeout_handle, None
        if timer is not None:
            timer.cancel()

    def _reschedule_timeout(self) -> None:
        """Wait for something anew, with the timer that there is: aiohttp makes and cancels two for each answer."""
        if not self._read_timeout:
            self._due = None
            super()._reschedule_timeout()
            return
        self._due = self._loop.time() + self._read_timeout
        timer = self._read_timeout_handle
        if timer is not None and timer.when() > self._due:
            timer.cancel()
            timer = None
        if timer is None:
            self._read_timeout_handle = self._loop.call_at(self._due, self._look)

    def _drop_timeout(self) -> None:
        """Wait for nothing; the timer is kept for the next answer."""
        self._due = None

    def _look(self) -> None:
        """The timer rings: look whether something was to come by now."""
        self._read_timeout_handle = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._read_timeout_handle = self._loop.call_at(self._due, self._look)
        else:
            self._on_read_timeout()

    def close(self) -> None:
        """Close the socket now, whatever is still to be sent or said."""
        self.abort()

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Note an error, and tell the reader of the body where the error is in the body's framing."""
        payload = self._payload
        super().set_exception(exc, *cause)
        if (
            isinstance(exc, HttpProcessingError)
            and payload is not None
            and not payload.is_eof()
            and payload.exception() is None
        ):
            payload.set_exception(exc, *cause)

    def is_clean(self) -> bool:
        """Whether nothing has come since the last answer, neither read by the event loop nor waiting in the kernel."""
        if self.should_close or self.transport is None:
            return False
        # poll() and not select(): the descriptor may be beyond FD_SETSIZE. On TLS any record counts: a good-bye or
        # something unasked for; closing the connection is right for both.
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)


class GuardedConnector(TCPConnector):
    """A pool of connections to allowed addresses.

    Args:
        egress: Which addresses may be reached.
        keepalive: Seconds that an idle connection is kept.
        tls: How to speak TLS; None for the system's certificates.
    """

    def __init__(self, egress: EgressPolicy, *, keepalive: float, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(
            limit=0,  # limits belong to the pipeline, which can say no; a queue in here would look like a slow provider
            keepalive_timeout=keepalive,
            socket_factory=egress.open_socket,
            ssl=tls or True,
        )
        factory = functools.partial(_Handler, loop=asyncio.get_running_loop())
        self._factory = cast("functools.partial[ResponseHandler]", factory)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:
        """A connection: a clean one from the pool, else a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            handler = connection.protocol
            assert isinstance(handler, _Handler)
            if not handler.used:
                handler.used = True
                return connection
            if handler.is_clean():
                return connection
            connection.close()
