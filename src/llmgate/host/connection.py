"""One TCP connection: hypercorn's HTTP/1.1 protocol between an asyncio transport and the application.

hypercorn's own connection class notices no departure behind a pipelined byte, has no deadline for a peer that does not
read, answers every ``Upgrade: h2c`` with 101, and hangs on shutdown from Python 3.12.1 on. Its protocol and stream
classes are sound; this is the transport side beneath them, with those four things settled, and one write an answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp

from llmgate.spec import ClientCertificate, OverloadedError

from .admission import Admission
from .mailbox import READ_AHEAD
from .protocol import Http
from .refusals import Refusals
from .spawner import Spawner
from .tls import client_certificate

if TYPE_CHECKING:
    from .uvicorn_http import UvicornHttp, UvicornServer

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

Address: TypeAlias = "tuple[str, int] | None"


class Listener:
    """What the connections of one server share.

    Args:
        app: The ASGI application.
        config: hypercorn's settings.
        stall_timeout: Seconds that a closing connection waits for a client that does not read.
        admission: Says when requests are refused unread; None for never.
        refusals: Is told of requests that are refused before they come to the application; None for nobody.
        uvicorn: What reads plain requests; None to have hypercorn's protocol read all.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: Config,
        *,
        stall_timeout: float,
        admission: Admission | None = None,
        refusals: Refusals | None = None,
        uvicorn: UvicornServer | None = None,
    ) -> None:
        self.app = app
        self.uvicorn = uvicorn
        self.config = config
        self.stall_timeout = stall_timeout
        self.admission = admission
        self.refusals = refusals
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

    def serve_last(self) -> None:
        """Close each connection after one more answer."""
        self.config.keep_alive_max_requests = -1

    def stop(self) -> None:
        """Close connections that are idle now, and every other one after the answer that it is busy with."""
        self.serve_last()
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
        self._http: Http | None = None
        self._plain: UvicornHttp | None = None
        """What the connection's requests are read by as long as they are plain; None where they are hypercorn's."""
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
        self._is_tls = False
        self.certificate: ClientCertificate | None = None
        """The client's, which the application finds in the scope of each request."""
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
        tls = transport.get_extra_info("ssl_object")
        self._is_tls, self.certificate = tls is not None, client_certificate(tls)
        self._listener.connections.add(self)
        if self._listener.uvicorn is not None:
            self._plain = self._listener.uvicorn.begin(self)
        else:
            self._read_strictly()
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
        if self._plain is not None:
            self._feed(self._plain, data)
        else:
            self._keep(data)

    def _feed(self, plain: UvicornHttp, data: bytes) -> None:
        rest = plain.feed(data)
        if rest is not None:  # no plain request: from here on the strict protocol reads them
            self._plain = None
            self._read_strictly(plain.taken)
            self._keep(rest)

    def _keep(self, data: bytes) -> None:
        """Keep bytes for the reader."""
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
        self.refused(OverloadedError.status_code, data)
        return True

    def eof_received(self) -> bool:
        """The client sends no more: as it is with HTTP/1.1 clients, it has left.

        The transport stays open for an answer that is on its way already.
        """
        self._peer_done = True
        if not self._busy or self._closing:
            self._close()
            return False
        self._tell_departure()
        return not self._is_tls  # TLS knows no half of a connection

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
            self._tell_departure()

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

    def refused(self, status: int, head: bytes) -> None:
        """Tell of a request that was refused before it came to the application.

        Args:
            status: What it was answered, or would have been.
            head: What has come of it.
        """
        if self._listener.refusals is not None and head:
            client, _, _ = self.addresses()
            self._listener.refusals.on_the_wire(status, head, client[0] if client else "")

    def abort(self) -> None:
        """Cut the connection now."""
        if not self._lost:
            self._transport.abort()

    def app_done(self) -> None:
        """The application has returned; a client that has left, or was never answered, keeps no connection."""
        if self._peer_done and not self._lost:
            self._close()

    # Called by uvicorn's protocol and its exchanges.

    def addresses(self) -> tuple[Address, Address, bool]:
        """The peer's address, our own, and whether the connection is encrypted."""
        peer, here = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
        return tuple(peer[:2]) if peer else None, tuple(here[:2]) if here else None, self._is_tls

    def closing_headers(self, requests: int) -> list[tuple[bytes, bytes]]:
        """The headers that every answer gets, after so many requests."""
        headers = self._listener.config.response_headers("h11")
        if requests >= self._listener.config.keep_alive_max_requests:
            return [*headers, (b"connection", b"close")]
        return headers

    def busy(self) -> None:
        """A request has come in."""
        self._busy, self._in_head = True, False
        self._deadline = float("inf")

    def idle(self) -> None:
        """The answer is out, and the connection may be used for another request."""
        self._busy = self._in_head = False
        if self._peer_done or self._stopping:
            self._close()
            return
        self._set_deadline(self._listener.config.keep_alive_timeout)
        if self._plain is not None and self._plain.unread:
            self._in_head = True
            self._set_deadline(HEAD_SECONDS)
            self._feed(self._plain, b"")

    def hold(self) -> None:
        """Take nothing from the client for the time being."""
        if not self._lost:
            self._transport.pause_reading()

    def unhold(self) -> None:
        """Take from the client again."""
        if not self._lost:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send bytes, together with what else is sent in this turn of the event loop."""
        self._write(data)

    def flush(self) -> None:
        """Send what has been gathered."""
        self._flush()

    @property
    def room(self) -> asyncio.Future[None] | None:
        """What a writer waits for, shielded, while the client does not keep up; None when it does."""
        return self._room

    @property
    def longest_head(self) -> int:
        """Bytes of an unfinished head that are waited for."""
        return self._listener.config.h11_max_incomplete_size

    def close(self) -> None:
        """Close once what has been written is out."""
        self._close()

    # The rest is between this class and hypercorn's protocol.

    def _read_strictly(self, requests: int = 0) -> None:
        """Have hypercorn's protocol, on the strict parser, read what comes; so many requests have come before."""
        client, server, tls = self.addresses()
        self._http = Http(
            cast("Any", self._listener.app),
            self._listener.config,
            cast("Any", self._listener.context),
            cast("Any", Spawner(self._listener.spawn, self.app_done, self.certificate)),
            ConnectionState({}),
            tls,
            client,
            server,
            self._send,
        )
        self._http.outer = self
        self._http.keep_alive_requests = requests
        self._reader = self._listener.spawn(self._read(self._http))

    def _tell_departure(self) -> None:
        """Have whoever answers know that the client has left, or is about to be left."""
        if self._plain is not None:
            self._plain.leave()
        elif self._http is not None and self._http.stream is not None:
            self._listener.spawn(self._http.handle(Closed()))

    async def _read(self, http: Http) -> None:
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
                await http.handle(RawData(data))
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
            if event.idle:
                self.idle()
            else:
                self.busy()

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
        self._tell_departure()
        reading = self._plain or self._http
        if reading is not None and reading.unread and not self._peer_done and self._transport.can_write_eof():
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
        if self._in_head and not self._busy:
            http = self._http
            head = self._plain.begun if self._plain is not None else http and http.connection.trailing_data[0]
            self.refused(408, head or b"")
        self._close()


def _bound_kernel(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold only so much that has not left, where it can be told."""
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
        connection.setsockopt(socket.IPPROTO_TCP, option, KERNEL_AHEAD)
