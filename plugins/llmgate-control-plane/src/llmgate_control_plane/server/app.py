"""The ASGI application: gateways connect, are told all keys, and then what changes, each at its own pace."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import attrs

from llmgate.codecs import jsons
from llmgate.spec import Clock, ConfigError
from llmgate_control_plane.line import OWN_DIALECT

from .gateways import Gateway, Gateways, GatewaysFile
from .ledger import Ledger

__all__ = ["PATH", "Limits", "PlaneApp"]

log: Final = logging.getLogger("llmgate.control_plane")

PATH: Final = "/ws/v1/router/control-plane"
HEALTH: Final = "/health"
_LOOK: Final = 0.25
"""Seconds between two looks at whether the file of gateways has changed."""
_CHATTER: Final = 100
"""Messages of a gateway, which has nothing to say, that are let pass."""
_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_LATER: Final = 1013

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


@attrs.frozen
class Limits:
    """What one gateway, and all of them, may have.

    Args:
        connections: Connections at once.
        each: Connections of one gateway at once, one for each of its processes.
        waiting: Messages that wait for a gateway that does not keep up; one more, and it has to begin anew.
        patience: Seconds that a message may take to leave.
    """

    connections: int = 1000
    each: int = 64
    waiting: int = 256
    patience: float = 5.0


class _Peer:
    """One connection of a gateway.

    Args:
        gateway: Whose it is.
        waiting: Messages that may wait.
    """

    def __init__(self, gateway: Gateway, waiting: int) -> None:
        self.gateway = gateway
        self.ready = asyncio.Event()
        self.end: tuple[int, str] | None = None
        self.listens = False
        """Whether it is being told the keys, so that what changes has to wait for it."""
        self._waiting = waiting
        self._outbox: deque[bytes] = deque()

    def put(self, message: bytes) -> None:
        """Have a message sent; a gateway that has too many of them waiting is sent away."""
        if len(self._outbox) >= self._waiting:
            self.stop(_LATER, "too slow, begin anew")
            return
        self._outbox.append(message)
        self.ready.set()

    def take(self) -> bytes | None:
        """The next message; None for none yet."""
        if self._outbox:
            return self._outbox.popleft()
        self.ready.clear()
        return None

    def stop(self, code: int, reason: str) -> None:
        """Close the connection."""
        self.end = self.end or (code, reason)
        self.ready.set()


class PlaneApp:
    """Serves gateways.

    Args:
        file: Who may connect.
        clock: Time.
        limits: Who may have how much.
    """

    def __init__(self, file: GatewaysFile, clock: Clock, limits: Limits | None = None) -> None:
        self._file = file
        self._clock = clock
        self._limits = limits or Limits()
        self._gateways = Gateways()
        self._stamp = (-1, 0, 0)
        self._peers: set[_Peer] = set()
        self._calls: set[asyncio.Task[Any]] = set()
        self.ledger: Ledger | None = None

    def tell(self, message: bytes) -> None:
        """Have every gateway told something."""
        for peer in tuple(self._peers):
            if peer.listens:
                peer.put(message)

    async def watch(self) -> None:
        """Notice gateways that are added and removed; it ends when it is cancelled."""
        while True:
            self.look()
            await self._clock.sleep(_LOOK)

    def look(self) -> None:
        """Read who may connect, where that has changed, and send those away that may no longer."""
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._gateways = self._file.read()
        except ConfigError as wrong:
            log.warning("the gateways of before go on: %s", wrong)
            return
        for peer in self._peers:
            if not self._gateways.has(peer.gateway):
                peer.stop(_POLICY, "this gateway has been removed")

    async def stop(self) -> None:
        """Send every gateway away, and wait a moment for that."""
        for peer in self._peers:
            peer.stop(_GOING_AWAY, "the control plane stops")
        if self._calls:
            await asyncio.wait(tuple(self._calls), timeout=1.0)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Serve one request."""
        task = asyncio.current_task()
        assert task is not None, "the server runs each request in a task"
        self._calls.add(task)
        try:
            if scope["type"] == "websocket":
                await self._admit(scope, receive, send)
            elif scope["type"] == "http":
                await self._answer(scope, send)
        finally:
            self._calls.discard(task)

    async def _answer(self, scope: _Message, send: _Send) -> None:
        if scope["path"] == HEALTH and scope["method"] in ("GET", "HEAD"):
            ledger = self.ledger
            fresh = ledger is not None and ledger.is_fresh
            told: dict[str, Any] = {"status": "ok" if fresh else "degraded"}
            await _respond(send, "http", 200, told)
        elif scope["path"] == PATH:
            await _respond(
                send, "http", 426, {"error": "this address serves WebSockets only"}, ((b"upgrade", b"websocket"),)
            )
        else:
            await _respond(send, "http", 404, {"error": f"nothing is served here: gateways connect to {PATH}"})

    async def _admit(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Let a gateway in, or say why not, as plain HTTP."""
        if (await receive())["type"] != "websocket.connect":
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] != PATH:
            await _refuse(scope, send, 404, f"nothing is served here: gateways connect to {PATH}")
            return
        scheme, _, credential = headers.get(b"authorization", "").partition(" ")
        gateway = self._gateways.find(credential.strip()) if scheme.lower() == "bearer" else None
        ledger = self.ledger
        if gateway is None:
            await _refuse(scope, send, 401, "the credential is none of a gateway: see `llmgate control-plane add`")
        elif OWN_DIALECT.encode() not in headers:
            await _refuse(scope, send, 400, "only gateways with llmgate-control-plane are served here")
        elif ledger is None or self._is_full(gateway):
            await _refuse(scope, send, 503, "there are too many connections")
        else:
            peer = _Peer(gateway, self._limits.waiting)
            self._peers.add(peer)
            try:
                await self._serve(peer, ledger, receive, send)
            finally:
                self._peers.discard(peer)

    def _is_full(self, gateway: Gateway) -> bool:
        each = Counter(peer.gateway.name for peer in self._peers)
        return len(self._peers) >= self._limits.connections or each[gateway.name] >= self._limits.each

    async def _serve(self, peer: _Peer, ledger: Ledger, receive: _Receive, send: _Send) -> None:
        await send({"type": "websocket.accept"})
        log.info("gateway %s is connected", peer.gateway.name)
        listening = asyncio.create_task(self._listen(peer, receive))
        try:
            # The keys as they are now are taken hold of at once, and what changes from here on waits behind them.
            peer.listens = True
            for message in ledger.snapshot():
                await self._send(message, send)
                if peer.end is not None:
                    break
            while peer.end is None:
                waiting = peer.take()
                if waiting is None:
                    await peer.ready.wait()
                else:
                    await self._send(waiting, send)
            if peer.end[0]:
                await self._close(peer.end, send)
        except (OSError, TimeoutError):
            log.warning("gateway %s does not read what it is told, and is cut off", peer.gateway.name)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            log.info("gateway %s is gone", peer.gateway.name)

    async def _send(self, message: bytes, send: _Send) -> None:
        async with asyncio.timeout(self._limits.patience):
            await send({"type": "websocket.send", "text": message.decode()})

    async def _close(self, end: tuple[int, str], send: _Send) -> None:
        async with asyncio.timeout(self._limits.patience):
            await send({"type": "websocket.close", "code": end[0], "reason": end[1]})

    async def _listen(self, peer: _Peer, receive: _Receive) -> None:
        """Notice that a gateway leaves; what it says is of no interest, and there is not to be much of it."""
        heard = 0
        while (await receive())["type"] == "websocket.receive":
            heard += 1
            if heard > _CHATTER:
                peer.stop(_POLICY, "gateways have nothing to say here")
                return
        peer.stop(0, "")


async def _refuse(scope: _Message, send: _Send, status: int, why: str) -> None:
    """Answer a handshake as plain HTTP, where the server can; else all that can be said is no."""
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond(send, "websocket.http", status, {"error": why})
    else:
        await send({"type": "websocket.close", "code": _POLICY})


async def _respond(
    send: _Send, kind: str, status: int, value: dict[str, Any], more: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    body = jsons.dumps(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": f"{kind}.response.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": body})
