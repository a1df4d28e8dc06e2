"""HTTP out: the one ``Transport`` that opens sockets, on aiohttp."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib.metadata
import io
import math
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar
from yarl import URL

from llmgate.spec import (
    ProviderConnectionError,
    ProviderRequest,
    ProviderResponse,
    SocketOptions,
    Timeouts,
)

from .alarm import Alarm
from .body import AiohttpStream
from .connector import GuardedConnector
from .decoding import DecodingError, Inflater, inflater_for
from .egress import CONFIGURED_TARGETS, EgressPolicy
from .failures import broken_answer, opening_failure
from .headers import lowered
from .outgoing import checked_headers, checked_url
from .proxies import Proxy
from .sockets import AiohttpSocket, open_socket
from .tls import client_context, trusting
from .uploading import UploadPayload

__all__ = ["AiohttpTransport"]

_READ_BUFFER: Final = 8 * 1024  # reading stops at twice as much, so a slow reader slows the provider down
_MAX_HEADER_BYTES: Final = 32 * 1024  # of one header: content security policies outgrow aiohttp's 8 KiB
_LARGE_BODY: Final = 1024 * 1024  # aiohttp wants more than this as a file, to write it piece by piece
_SLOWEST_UPLOAD: Final = 64 * 1024  # bytes a second that a provider must take a request body at
_NO_CONTENT_TYPE: Final = ("content-type",)


class _Pool:
    """The connections of one provider and credential."""

    __slots__ = ("active", "connector", "proxy", "session")

    def __init__(self, session: ClientSession, connector: GuardedConnector, proxy: str | None) -> None:
        self.session = session
        self.proxy = proxy
        self.connector = connector
        self.active = 0

    def release(self) -> None:
        """One request less is on its way."""
        self.active -= 1


class AiohttpTransport:
    """Moves requests over HTTP/1.1; implements ``spec.Transport`` and ``spec.SocketTransport``.

    Requests of one ``pool`` share connections, those of different pools never do, nor those to different hosts where
    some are treated apart. Redirects are not followed: a 3xx is an answer like any other. The environment's proxies,
    cookies, ``.netrc`` and compression play no part. Bound to the event loop of its first request.

    Args:
        egress: Which addresses may be reached.
        proxy: What connections go through; None for nothing.
        max_pools: How many pools are kept; beyond it, the one unused for longest is closed.
        keepalive: Seconds that an idle connection is kept.
        tls: How to speak TLS; None for the system's certificates.
        user_agent: What requests that do not name one are sent as; None for llmgate and its version.
    """

    def __init__(
        self,
        *,
        egress: EgressPolicy = CONFIGURED_TARGETS,
        proxy: Proxy | None = None,
        max_pools: int = 256,
        keepalive: float = 60.0,
        tls: ssl.SSLContext | None = None,
        user_agent: str | None = None,
    ) -> None:
        self._egress = egress
        self._proxy = proxy
        self._by_host = bool(egress.listed) or proxy is not None
        self._max_pools = max_pools
        self._keepalive = keepalive
        self._tls = tls
        self._user_agent = user_agent or _user_agent()
        self._pools: OrderedDict[str, _Pool] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, request: ProviderRequest) -> ProviderResponse:
        """Send a request and read the whole answer."""
        stream = await self.open_stream(request)
        return ProviderResponse(stream.status, stream.headers, await stream.read())

    async def open_stream(self, request: ProviderRequest) -> AiohttpStream:
        """Send a request and return once the answer's head has come."""
        url = checked_url(request)
        headers = checked_headers(request, url, self._user_agent)
        pool = self._pool(request)
        pool.active += 1
        stream: AiohttpStream | None = None
        failure: Exception
        try:
            if request.upload is None:
                with Alarm(_head_deadline(request)):
                    response = await _ask(pool, request, url, headers, _payload(request.body))
            else:
                async with UploadPayload(request.upload, _finite(request.timeouts.first_byte)) as payload:
                    response = await _ask(pool, request, url, headers, payload)
            stream = _received(response, request, pool)
        except DecodingError as exc:
            failure = broken_answer(request, str(exc), status=response.status)
        except Exception as exc:  # noqa: BLE001 - the contract allows three classes; a cancellation is not among these
            failure = (request.upload and request.upload.failure) or opening_failure(exc, request)
        finally:
            if stream is None:
                pool.release()
        if stream is None:
            raise failure
        return stream

    async def open_socket(self, request: ProviderRequest, options: SocketOptions) -> AiohttpSocket | ProviderResponse:
        """Ask for a WebSocket, over a connection of the request's pool."""
        url = checked_url(request)
        headers = checked_headers(request, url, self._user_agent)
        pool = self._pool(request)
        pool.active += 1
        opened: AiohttpSocket | ProviderResponse | None = None
        try:
            opened = await open_socket(
                request,
                options,
                url=url,
                headers=headers,
                connector=pool.connector,
                proxy=pool.proxy,
                done=pool.release,
            )
        finally:
            if not isinstance(opened, AiohttpSocket):
                pool.release()
        return opened

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        while self._pools:
            self._close_pool(self._pools.popitem()[1])
        while self._closing:
            await asyncio.wait(self._closing)

    def _pool(self, request: ProviderRequest) -> _Pool:
        name = request.pool or request.origin
        if request.authorities is not None:
            name = f"{name} {_digest(request.authorities)}"
        if self._by_host:
            name = f"{name} {request.origin}"
        pool = self._pools.get(name)
        if pool is not None:
            self._pools.move_to_end(name)
            return pool
        if self._closed:
            raise ProviderConnectionError(
                f"nothing was sent to provider {request.provider_name}: the transport is closed",
                provider_name=request.provider_name,
                code="gateway_closed",
            )
        if request.authorities is not None:
            tls: ssl.SSLContext | None = _trusting(request)
        else:
            tls = self._tls or (client_context() if request.origin.startswith("https:") else None)
        connector = GuardedConnector(self._guard(request.origin), keepalive=self._keepalive, tls=tls)
        proxy = None if self._proxy is None else self._proxy.for_host(URL(request.origin, encoded=True).host or "")
        pool = self._pools[name] = _Pool(_session(connector, proxy), connector, proxy)
        self._drop_idle_pools()
        return pool

    def _guard(self, origin: str) -> EgressPolicy:
        """What guards the connections of a pool; those of one pool all go to one host where some are listed."""
        if not self._egress.listed:
            return self._egress
        url = URL(origin, encoded=True)
        return self._egress.for_host(url.host or "", url.port or 0)

    def _drop_idle_pools(self) -> None:
        """Close the pools unused for longest while there are too many; one with a request on its way stays."""
        surplus = len(self._pools) - self._max_pools
        if surplus <= 0:
            return
        newest = next(reversed(self._pools))
        idle = [name for name, pool in self._pools.items() if not pool.active and name != newest]
        for name in idle[:surplus]:
            self._close_pool(self._pools.pop(name))

    def _close_pool(self, pool: _Pool) -> None:
        task = asyncio.get_running_loop().create_task(pool.session.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _digest(authorities: str) -> str:
    return hashlib.sha256(authorities.encode()).hexdigest()


def _trusting(request: ProviderRequest) -> ssl.SSLContext:
    """TLS that trusts a request's own authorities and nobody else.

    Raises:
        ProviderConnectionError: they are no certificates.
    """
    try:
        return trusting(request.authorities or "")
    except (ssl.SSLError, ValueError):
        raise ProviderConnectionError(
            f"nothing was sent to provider {request.provider_name}: what it is to be checked against holds no "
            "certificates (PEM)",
            provider_name=request.provider_name,
            code="provider_tls_error",
        ) from None


def _session(connector: GuardedConnector, proxy: str | None) -> ClientSession:
    return ClientSession(
        connector=connector,
        proxy=proxy,
        timeout=ClientTimeout(total=None),
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER,
        max_field_size=_MAX_HEADER_BYTES,
    )


async def _ask(
    pool: _Pool, request: ProviderRequest, url: URL, headers: Mapping[str, str], data: Any
) -> ClientResponse:
    """Send a request; the answer, once its head has come."""
    return await pool.session.request(
        request.method,
        url,
        data=data,
        headers=headers,
        skip_auto_headers=None if "content-type" in headers else _NO_CONTENT_TYPE,
        allow_redirects=False,
        timeout=_client_timeout(request.timeouts),
    )


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) > _LARGE_BODY else body


@functools.cache
def _user_agent() -> str:
    try:
        return f"llmgate/{importlib.metadata.version('llmgate')}"
    except importlib.metadata.PackageNotFoundError:  # bundled without its metadata
        return "llmgate"


@functools.lru_cache(maxsize=256)
def _client_timeout(timeouts: Timeouts) -> ClientTimeout:
    return ClientTimeout(total=None, connect=_finite(timeouts.connect), sock_read=_finite(timeouts.first_byte))


def _finite(seconds: float) -> float | None:
    """Seconds as aiohttp takes them: None for no bound."""
    return seconds if math.isfinite(seconds) else None


def _head_deadline(request: ProviderRequest) -> float | None:
    """Seconds within which the head must have come, whatever the provider does: not take the body, or drip its head."""
    upload = len(request.body or b"") / _SLOWEST_UPLOAD
    return _finite(request.timeouts.connect + request.timeouts.first_byte + upload)


def _received(response: ClientResponse, request: ProviderRequest, pool: _Pool) -> AiohttpStream:
    """The stream of an answer whose head has come.

    Raises:
        DecodingError: it is in an encoding that is not read; it has been closed.
    """
    headers = lowered(response.headers)
    inflater: Inflater | None = None
    unreadable = False
    try:
        inflater = inflater_for(headers.get("content-encoding", ""))
    except DecodingError:
        if response.status < 400:
            response.close()
            raise
        unreadable = True  # the status of an error says enough to act on
    if inflater is not None or unreadable:
        for name in ("content-encoding", "content-length"):
            headers.pop(name, None)
    _expect_pieces(response, request.timeouts)
    return AiohttpStream(response, request, headers, inflater=inflater, unreadable=unreadable, done=pool.release)


def _expect_pieces(response: ClientResponse, timeouts: Timeouts) -> None:
    """From the first byte on it is the idle timeout that counts."""
    if timeouts.idle == timeouts.first_byte:
        return
    connection = response.connection
    handler = connection.protocol if connection is not None else None
    if handler is None or response.content.is_eof():
        return  # the whole answer is here
    handler.read_timeout = _finite(timeouts.idle)
    if response.content.total_bytes < _READ_BUFFER:  # else reading may be paused, and the clock with it
        handler.start_timeout()
