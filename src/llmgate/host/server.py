"""The server: hypercorn's settings, the sockets, and a shutdown order of our own.

On SIGTERM or SIGINT: not ready, then no new connection, then running requests get their time, then streams that are
left get an error event, then what is left of connections is cut; records are flushed by whoever owns the Pipeline. A
second signal ends the process at once. On SIGHUP the configuration is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.types import ASGIApp

from llmgate.config.model import ServerConfig

from .calls import Desk
from .connection import Listener
from .signals import Signals
from .tls import HANDSHAKE_SECONDS, Certificates

if TYPE_CHECKING:
    from .uvicorn_http import UvicornServer

__all__ = ["bind", "serve", "settings_of", "uvicorn_for"]

log = logging.getLogger("llmgate.host")

IDLE_SECONDS: Final = 5.0
"""How long a server that is relieved waits for another request on a connection that is idle.

A client that is about to send one would find it closed, and not every client sends a request anew."""

REQUEST_LINE_BYTES: Final = 8 * 1024
"""Room for the request line beside the headers."""


class _Config(Config):
    """hypercorn's settings, with a date header that is made once a second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._date = [(b"date", b"")]

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:  # noqa: ARG002 - hypercorn's
        """The headers that every answer gets; nothing tells which server this is."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._date = [(b"date", formatdate(now, usegmt=True).encode("ascii"))]
        return self._date


def settings_of(server: ServerConfig) -> Config:
    """Hypercorn's settings for a host: HTTP/1.1 only, no log of its own, our limits."""
    config = _Config()
    config.accesslog = None
    config.errorlog = None
    config.alpn_protocols = ["http/1.1"]
    config.backlog = server.backlog
    config.h11_max_incomplete_size = server.max_header_bytes + REQUEST_LINE_BYTES
    config.include_server_header = False
    config.keep_alive_max_requests = server.max_requests_per_connection
    config.keep_alive_timeout = server.keep_alive_timeout
    return config


def uvicorn_for(app: ASGIApp, server: ServerConfig) -> UvicornServer | None:
    """What reads plain requests in hypercorn's place; None where it is hypercorn's to read them all.

    Raises:
        ModuleNotFoundError: uvicorn or httptools is not installed.
    """
    if server.use != "uvicorn":
        return None
    from .uvicorn_http import UvicornServer  # late: it comes with llmgate[fast] only

    return UvicornServer(app)


def bind(address: str, port: int) -> list[socket.socket]:
    """Bind the sockets to listen on; a name such as ``localhost`` may stand for several addresses.

    Args:
        address: A host name or address.
        port: The port; 0 takes a free one, the same for all addresses.

    Raises:
        OSError: an address cannot be bound, for example because the port is in use.
    """
    sockets: list[socket.socket] = []
    found = socket.getaddrinfo(address.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            listening.bind((where[0], chosen, *where[2:]))
            listening.setblocking(False)
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets


async def serve(
    app: Starlette,
    sockets: Sequence[socket.socket],
    *,
    grace: float = 0.0,
    stop: asyncio.Event | None = None,
    started: Callable[[], None] | None = None,
    reload: Callable[[], Coroutine[Any, Any, None]] | None = None,
    shared: bool = False,
    relieved: asyncio.Event | None = None,
) -> None:
    """Serve until told to stop, then end in order; or until another process serves, and then end when nobody is left.

    Args:
        app: From ``create_app``; its lifespan is run, so a Pipeline that it owns is opened and closed here.
        sockets: Bound sockets.
        grace: Seconds between being not ready and taking no more connections, for load balancers to notice.
        stop: Set by the caller to stop; None listens to SIGTERM and SIGINT, and to SIGHUP.
        started: Called once connections are taken.
        reload: What SIGHUP does; None for the same as SIGTERM. It is not run twice at once.
        shared: Whether other processes take connections from the same sockets.
        relieved: Set by the caller when another process takes the connections: this one takes no more, and ends when
            its clients have had their answers.
    """
    desk: Desk = app.state.desk
    settings = settings_of(desk.settings)
    settings.websocket_max_message_size = desk.config.sessions.max_message_bytes
    settings.websocket_ping_interval = desk.config.sessions.heartbeat
    listener = Listener(
        app,
        settings,
        stall_timeout=desk.settings.send_timeout,
        admission=desk.admission,
        refusals=desk.refusals,
        uvicorn=uvicorn_for(app, desk.settings),
    )
    tls = desk.settings.tls
    certificates = None if tls is None else Certificates(tls, desk.config.directory)
    async with app.router.lifespan_context(app), _signalled(stop, reload) as stopping:
        async with _listening(listener, sockets, desk.settings.backlog, certificates, shared=shared):
            if started is not None:
                started()
            await _first(stopping, relieved)
            if stopping.is_set():
                desk.draining = True
                log.info("stopping: %d requests are running", len(desk.calls))
                await asyncio.sleep(grace)
        if not stopping.is_set():
            await _leave_gently(listener, desk, stopping)
        listener.stop()
        cut = await desk.drain(desk.settings.shutdown_timeout)
        if cut:
            log.warning("%d requests did not end within %g s and were cut", cut, desk.settings.shutdown_timeout)
        await listener.finish()


async def _first(*events: asyncio.Event | None) -> None:
    """Wait until one of some events is set."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events if event is not None]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def _leave_gently(listener: Listener, desk: Desk, stopping: asyncio.Event) -> None:
    """Answer what is asked on the connections that there are, each for the last time, until none is left or wanted."""
    log.info("relieved: %d requests are running", len(desk.calls))
    listener.serve_last()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), IDLE_SECONDS)
    if stopping.is_set():
        return
    listener.stop()
    running = asyncio.ensure_future(desk.quiet(desk.settings.restart_timeout))
    halted = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([running, halted], return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    halted.cancel()


@contextlib.asynccontextmanager
async def _listening(
    listener: Listener,
    sockets: Sequence[socket.socket],
    backlog: int,
    certificates: Certificates | None,
    *,
    shared: bool,
) -> AsyncIterator[None]:
    """Take connections; on leaving, take no more (and wait for none: that hangs from Python 3.12.1 on)."""
    loop = asyncio.get_running_loop()
    servers: list[asyncio.Server] = []
    following = None if certificates is None else loop.create_task(certificates.follow())
    try:
        for bound in sockets:
            # asyncio accepts as many connections at a time as the queue may hold. A process that shares the queue takes
            # them one by one, or the first to wake would take them all.
            server = await loop.create_server(
                listener.connect,
                sock=bound,
                backlog=1 if shared else backlog,
                ssl=None if certificates is None else certificates.context,
                ssl_handshake_timeout=None if certificates is None else HANDSHAKE_SECONDS,
            )
            servers.append(server)
            bound.listen(backlog)
        yield
    finally:
        if following is not None:
            following.cancel()
        for server in servers:
            server.close()


@contextlib.asynccontextmanager
async def _signalled(
    stop: asyncio.Event | None, reload: Callable[[], Coroutine[Any, Any, None]] | None
) -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets; the second signal ends the process at once, SIGHUP reloads."""
    if stop is not None:
        yield stop
        return
    with Signals(reload) as signals:
        yield signals.stopping
