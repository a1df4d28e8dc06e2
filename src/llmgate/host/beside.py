"""Serves an application that is not the gateway, such as a plugin's, on the same server and with the same care.

What the gateway does to a request before its routes see it (``host/guard.py``) is the gateway's own; framing, sizes of
heads, deadlines and slow readers are the server's, and hold here as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from socket import socket

from llmgate.config.model import ServerConfig
from llmgate.spec import AsgiApp, ConfigError, Serving

from .connection import Listener
from .server import bind, settings_of
from .signals import Signals
from .tls import HANDSHAKE_SECONDS

__all__ = ["serve_beside"]

log = logging.getLogger("llmgate.host")


async def serve_beside(app: AsgiApp, serving: Serving, stop: asyncio.Event | None = None) -> None:
    """Serve until told to stop, then end in order.

    Args:
        app: The application.
        serving: Where and how.
        stop: Set by the caller to stop; None listens to SIGTERM and SIGINT.

    Raises:
        ConfigError: the address cannot be listened on, or the certificate cannot be used.
    """
    tls = _tls(serving)
    try:
        sockets = bind(serving.address, serving.port)
    except OSError as failure:
        why = failure.strerror or "it is no address of this machine"
        raise ConfigError(f"cannot listen on {serving.address} port {serving.port}: {why}") from None
    server = ServerConfig()
    settings = settings_of(server)
    settings.websocket_max_message_size = serving.max_message_bytes
    settings.websocket_ping_interval = serving.heartbeat
    listener = Listener(app, settings, stall_timeout=serving.stall)
    async with _stopped(stop) as stopping:
        async with _listening(listener, sockets, server.backlog, tls):
            host, port = sockets[0].getsockname()[:2]
            serving.started(f"{'http' if tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}")
            await stopping.wait()
            log.info("stopping: %d connections are open", len(listener.connections))
        listener.stop()
        await serving.ending()
        await listener.finish()


def _tls(serving: Serving) -> ssl.SSLContext | None:
    """TLS with the certificate that is named; None for none.

    Raises:
        ConfigError: it cannot be used.
    """
    if serving.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(serving.certificate, serving.private_key)
    except (OSError, ssl.SSLError) as failure:
        why = failure.strerror if not isinstance(failure, ssl.SSLError) else failure.reason or "not PEM"
        raise ConfigError(
            f"the certificate {serving.certificate} and its key cannot be used ({why}): write where both are, as PEM"
        ) from None
    return context


@contextlib.asynccontextmanager
async def _listening(
    listener: Listener, sockets: Sequence[socket], backlog: int, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Take connections; on leaving, take no more."""
    loop = asyncio.get_running_loop()
    patience = HANDSHAKE_SECONDS if tls is not None else None
    servers: list[asyncio.Server] = []
    try:
        for bound in sockets:
            servers.append(  # noqa: PERF401 - one that has been made is closed when the next cannot be
                await loop.create_server(
                    listener.connect, sock=bound, backlog=backlog, ssl=tls, ssl_handshake_timeout=patience
                )
            )
        yield
    finally:
        for server in servers:
            server.close()


@contextlib.asynccontextmanager
async def _stopped(stop: asyncio.Event | None) -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM or SIGINT sets, where the caller has none."""
    if stop is not None:
        yield stop
        return
    with Signals(None) as signals:
        yield signals.stopping
