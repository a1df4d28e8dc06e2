"""One TCP connection: hypercorn's HTTP/1.1 protocol between an asyncio transport and the application.

hypercorn's own connection class notices no departure behind a pipelined byte, has no deadline for a peer that does not
read, answers every ``Upgrade: h2c`` with 101, and hangs on shutdown from Python 3.12.1 on. Its protocol and stream
classes are sound; this is the transport side beneath them, with those four things settled, and one write an answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp, Message, Scope

from .admission import Admission
from .mailbox import READ_AHEAD, Mailbox
from .protocol import Http

__all__ = ["Connection", "Listener"]

log = logging.getLogger("llmgate.host")

WRITE_AHEAD: Final = 32 * 1024
"""Bytes of an answer that are held for a client that does not take them yet."""
KERNEL_AHEAD: Final = 128 * 1024
"""The same in the kernel, which would take megabytes for each client that reads slowly."""
ONE_WRITE: Final = 64 * 1024
"""From this many bytes on, an answer's pieces are written at once rather than gathered."""
HEAD_SECONDS: Final = 10.0
"""How long the head of a request may take."""
LINGER_SECONDS: Final = 2.0
"""How long a closed connection swallows what the client still sends, so that it can read its answer first."""

LAST_BYTES_SECONDS: Final = 1.0
"""How long a shutdown waits for the last bytes of answers to leave."""


class Listener:
    """What the connections of one server share.

    Args:
        app: The ASGI application.
        config: hypercorn's settings.
        stall_timeout: Seconds that a closing connection waits for a client that does not read.
        admission: Says when requests are refused unread; None for never.
    """

    def __init__(
        self, app: ASGIApp, config: Config, *, stall_timeout: float, admission: Admission | None = None
    ) -> None:
        self.app = app
        self.config = config
        self.stall_timeout = stall_timeout
        self.admission = admission
        self.context = WorkerContext(None)
        self.connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def connect(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in a task of the server's own."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def stop(self) -> None:
        """Close connections that are idle now, and every other one after the answer that it is busy with."""
        self.config.keep_alive_max_requests = -1
        for connection in tuple(self.connections):
            connection.stop()

    async def finish(self) -> None:
        """Give closing connections a moment for their last bytes, then cut what is left."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=LAST_BYTES_SECONDS)
        for connection in tuple(self.connections):
            connection.abort()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=LAST_BYTES_SECONDS)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._http: Http
        self._reader: asyncio.Task[Any] | None = None
        self._inbox: list[bytes] = []
        self._inbox_size = 0
        self._awake: asyncio.Future[None] | None = None
        self._outbox: list[bytes] = []
        self._outbox_size = 0
        self._flush_due = False
        self._room: asyncio.Future[None] | None = None
        self._busy = False
        self._in_head = False
        self._peer_done = False
        self._lost = False
        self._closing = False
        self._stopping = False
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Set up the HTTP side."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_AHEAD)
        _bound_kernel(transport)
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._http = Http(
            cast("Any", self._listener.app),
            self._listener.config,
            cast("Any", self._listener.context),
            cast("Any", _Spawner(self._listener, self.app_done)),
            ConnectionState({}),
            transport.get_extra_info("ssl_object") is not None,
            tuple(peer[:2]) if peer else None,
            tuple(here[:2]) if here else None,
            self._send,
        )
        self._http.outer = self
        self._listener.connections.add(self)
        self._reader = self._listener.spawn(self._read())
        self._set_deadline(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Keep bytes for the reader; nothing is kept once the connection closes."""
        if self._closing:
            return
        if not self._busy and not self._in_head:
            admission = self._listener.admission
            if admission is not None and admission.tight and self._refuse(data, admission):
                return
            self._in_head = True
            self._set_deadline(HEAD_SECONDS)
        self._inbox.append(data)
        self._inbox_size += len(data)
        if self._inbox_size > READ_AHEAD:
            self._transport.pause_reading()
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def _refuse(self, data: bytes, admission: Admission) -> bool:
        """Refuse a request that has come whole, without reading more of it than must be."""
        answer = None if self._stopping or self._inbox else admission.refuse(data)
        if answer is None:
            return False
        self._set_deadline(self._listener.config.keep_alive_timeout)
        self._write(answer)
        return True

    def eof_received(self) -> bool:
        """The client sends no more: as it is with HTTP/1.1 clients, it has left.

        The transport stays open for an answer that is on its way already.
        """
        self._peer_done = True
        if not self._busy or self._closing:
            self._close()
            return False
        self._listener.spawn(self._http.handle(Closed()))
        return True

    def connection_lost(self, failure: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The connection is gone."""
        self._lost = self._closing = True
        self._listener.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.cancel()
        self.resume_writing()
        if self._busy:
            self._listener.spawn(self._http.handle(Closed()))

    def pause_writing(self) -> None:
        """The client does not keep up."""
        if self._room is None:
            self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """The client has caught up."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # Called by the server and the application's task.

    def stop(self) -> None:
        """Take no further request."""
        self._stopping = True
        if not self._busy:
            self._close()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something for this connection."""
        return self._listener.spawn(work)

    def abort(self) -> None:
        """Cut the connection now."""
        if not self._lost:
            self._transport.abort()

    def app_done(self) -> None:
        """The application has returned; a client that has left, or was never answered, keeps no connection."""
        if self._peer_done and not self._lost:
            self._close()

    # The rest is between this class and hypercorn's protocol.

    async def _read(self) -> None:
        try:
            while not self._closing:
                if not self._inbox:
                    self._awake = self._loop.create_future()
                    await self._awake
                    continue
                data = self._inbox[0] if len(self._inbox) == 1 else b"".join(self._inbox)
                self._inbox.clear()
                if self._inbox_size > READ_AHEAD:
                    self._transport.resume_reading()
                self._inbox_size = 0
                await self._http.handle(RawData(data))
        except Exception:
            log.exception("a connection was cut")
            self.abort()

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            self._write(event.data)
            if self._room is not None and event.data:
                del event  # the transport has what is left of it: a slow client must not keep it in memory twice
                await asyncio.shield(self._room)
        elif isinstance(event, Closed):
            self._close()
        elif isinstance(event, Updated):
            self._busy = not event.idle
            self._in_head = False
            if event.idle:
                if self._peer_done or self._stopping:
                    self._close()
                else:
                    self._set_deadline(self._listener.config.keep_alive_timeout)
            else:
                self._deadline = float("inf")

    def _write(self, data: bytes) -> None:
        if self._lost or not data:
            return
        self._outbox.append(data)
        self._outbox_size += len(data)
        if self._outbox_size >= ONE_WRITE or self._room is not None:
            self._flush()
        elif not self._flush_due:
            # The head, the body and the end of an answer are three calls and become one write.
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if self._outbox and not self._lost:
            self._transport.write(self._outbox[0] if len(self._outbox) == 1 else b"".join(self._outbox))
        self._outbox.clear()
        self._outbox_size = 0

    def _close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._lost:
            return
        self._flush()
        self._inbox.clear()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        if self._http.stream is not None:
            self._listener.spawn(self._http.handle(Closed()))
        if self._http.unread and not self._peer_done and self._transport.can_write_eof():
            # Closing on unread bytes makes the kernel reset the connection, and the client would lose its answer.
            self._transport.resume_reading()
            self._transport.write_eof()
            self._cut_after(LINGER_SECONDS)
            return
        stalled = self._transport.get_write_buffer_size() > 0
        self._transport.close()
        if stalled:
            self._cut_after(self._listener.stall_timeout)

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.abort)

    def _set_deadline(self, seconds: float) -> None:
        if self._closing:
            return
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._loop.time() < self._deadline:
            if self._deadline != float("inf"):
                self._timer = self._loop.call_at(self._deadline, self._expire)
            return
        self._close()


def _bound_kernel(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold only so much that has not left, where it can be told."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
        connection.setsockopt(socket.IPPROTO_TCP, option, KERNEL_AHEAD)


class _Spawner:
    """What hypercorn's protocol starts an application with, in place of its task group.

    Args:
        listener: Runs the task.
        done: Called when the application has returned.
    """

    def __init__(self, listener: Listener, done: Callable[[], None]) -> None:
        self._listener = listener
        self._done = done

    async def spawn_app(
        self,
        app: ASGIApp,
        config: Config,  # noqa: ARG002 - hypercorn's signature
        scope: Scope,
        send: Callable[[Message | None], Awaitable[None]],
    ) -> Callable[[Message], Awaitable[None]]:
        """Start the application for one request.

        Returns:
            How the protocol hands it the request's messages.
        """
        mailbox = Mailbox()
        self._listener.spawn(self._run(app, scope, mailbox, send))
        return mailbox.put

    async def _run(
        self, app: ASGIApp, scope: Scope, mailbox: Mailbox, send: Callable[[Message | None], Awaitable[None]]
    ) -> None:
        try:
            await app(scope, mailbox.get, send)
        except Exception:
            log.exception("the application failed")
        finally:
            mailbox.shut()
            await send(None)
            self._done()
