"""The connection to a control plane: opened again for ever, given up when it is silent, never trusted with a key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from llmgate.spec import (
    GatewayError,
    PluginError,
    ProviderRequest,
    ProviderResponse,
    ProviderSocket,
    ProviderTimeoutError,
    Secret,
    SocketClose,
    SocketOptions,
    SocketTransport,
    StageContext,
    Timeouts,
)

from .config import ControlPlaneConfig, address_of
from .errors import MessageError
from .feed import KeyFeed
from .messages import Message, read_message

__all__ = ["OWN_DIALECT", "Line"]

log: Final = logging.getLogger("llmgate.control_plane")

OWN_DIALECT: Final = "llmgate-key-sync"
"""The header by which a gateway says that it takes llmgate's own messages; its value is their version."""
_LARGE: Final = 256 * 1024
"""Bytes from which a message is read in a thread, so that requests go on meanwhile."""
_SHORTEST_PAUSE: Final = 0.05
_STEADY: Final = 10.0
"""Seconds after which a connection that told its keys counts as one that works; the next wait begins short again."""
_GOING_AWAY: Final = 1001
_UNFIT: Final = 1002
_WHO: Final = "control plane"


class Line:
    """Keeps a connection, for as long as the gateway runs.

    Args:
        config: The keys of the stage.
        context: What the stage was opened with.
        authorities: Certificates (PEM) that the control plane's is checked against; None for those of the transport.
        feed: What takes in what is said.
        changed: Called after each change of the keys.
    """

    def __init__(
        self,
        config: ControlPlaneConfig,
        context: StageContext,
        authorities: str | None,
        feed: KeyFeed,
        changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._context = context
        self._authorities = authorities
        self._feed = feed
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._first = asyncio.Event()
        self._tried = asyncio.Event()
        self._said = ""

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._keep(), name=f"{self._context.id}: control plane")

    async def aclose(self) -> None:
        """Close the connection and open no other. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def wait(self, seconds: float, *, patiently: bool) -> bool:
        """Wait until the keys have been told.

        Args:
            seconds: How long at most.
            patiently: Whether to wait for other attempts when the first has failed.

        Returns:
            Whether they have.
        """
        first = asyncio.create_task(self._first.wait())
        tried = asyncio.create_task(self._tried.wait())
        waiting = {first} if patiently else {first, tried}
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            first.cancel()
            tried.cancel()
        return self._first.is_set()

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = self._context.clock.monotonic()
            try:
                await self._hold()
                why = "it has closed the connection"
            except GatewayError as failure:
                why = failure.message
            except Exception:
                log.exception("%s: the connection to the control plane failed", self._context.id)
                why = "an error of the gateway's own, see above"
            if self._feed.synced and self._context.clock.monotonic() - began >= _STEADY:
                failures = 0
            self._feed.end(self._context.clock.monotonic(), self._config.heartbeat * 1.5)
            self._tried.set()
            self._say(why)
            await self._context.clock.sleep(self._pause(failures))
            failures += 1

    def _pause(self, failures: int) -> float:
        """Seconds until the next attempt: any part of a time that grows, so that gateways do not come back as one."""
        config = self._config
        try:
            longest = min(config.max_delay, config.min_delay * config.factor**failures)
        except OverflowError:
            longest = config.max_delay
        return max(_SHORTEST_PAUSE, self._context.clock.random() * longest)

    async def _hold(self) -> None:
        """One connection, from its handshake to its end.

        Raises:
            GatewayError: it cannot be opened, or is of no use any longer.
        """
        config = self._config
        self._feed.begin()
        credential = await self._context.fetch_secret(config.credential)
        transport = self._context.transport
        if not isinstance(transport, SocketTransport):
            raise PluginError("the transport of this gateway has no WebSockets")
        options = SocketOptions(max_message_bytes=config.max_message_bytes, heartbeat=config.heartbeat)
        opened = await transport.open_socket(self._handshake(credential), options)
        if isinstance(opened, ProviderResponse):
            raise MessageError(_refusal(opened.status, config))
        end = SocketClose(_GOING_AWAY)
        try:
            await self._listen(opened)
        except MessageError:
            end = SocketClose(_UNFIT)
            raise
        finally:
            await opened.close(end)

    def _handshake(self, credential: Secret) -> ProviderRequest:
        url, origin = address_of(self._config.url)
        waits = Timeouts(connect=self._config.timeout, first_byte=self._config.timeout, idle=self._config.timeout)
        return ProviderRequest(
            "GET",
            url,
            {"authorization": f"Bearer {credential.reveal().strip()}", OWN_DIALECT: "1"},
            provider_name=_WHO,
            origin=origin,
            pool=f"{self._context.id} {_WHO}",
            timeouts=waits,
            authorities=self._authorities,
        )

    async def _listen(self, socket: ProviderSocket) -> None:
        """Take in what is said until the other side closes.

        Raises:
            ProviderError: the connection is lost, or silent.
            MessageError: what is said makes no sense.
        """
        loop = asyncio.get_running_loop()
        deadline: float | None = loop.time() + self._config.timeout
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    received = await socket.receive()
            except TimeoutError:
                raise ProviderTimeoutError("it is there, and says nothing") from None
            if isinstance(received, SocketClose):
                reason = received.reason if received.reason.isprintable() else ""
                raise MessageError(f"it has closed the connection ({received.code}{' ' * bool(reason)}{reason[:200]})")
            self._take(await self._read(received.data))
            if self._feed.synced:
                if not self._first.is_set() or self._said:
                    self._tell_synced()
                deadline = loop.time() + self._feed.slack if self._feed.beat is not None else None

    async def _read(self, data: bytes) -> Message:
        if len(data) < _LARGE:
            return read_message(data, self._config.max_keys)
        return await asyncio.to_thread(read_message, data, self._config.max_keys)

    def _take(self, message: Message) -> None:
        if self._feed.take(message, self._context.clock.monotonic()):
            self._changed()

    def _tell_synced(self) -> None:
        self._first.set()
        self._said = ""
        log.info("%s: the control plane has told its keys", self._context.id)

    def _say(self, why: str) -> None:
        """Log why there is no connection, once for each reason in a row."""
        if why != self._said:
            log.warning("%s: no connection to the control plane: %s; it is tried again for ever", self._context.id, why)
        self._said = why


def _refusal(status: int, config: ControlPlaneConfig) -> str:
    if status in (401, 403):
        return f"it refuses the gateway's credential ({status}): look at {config.credential}"
    return f"it answered {status} and opened no WebSocket: look at url"
