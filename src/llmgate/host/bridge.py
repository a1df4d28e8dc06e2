"""Relays a session: messages of the client up, messages of the provider down, until either of them closes.

Each direction reads one message and hands it on before it reads the next, so whoever is slow slows the other down, and
no more than one message a direction is held here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from llmgate.config.model import SessionConfig
from llmgate.spec import ProviderProtocolError, SocketClose, SocketMessage

from .calls import Call
from .upgrades import GOING_AWAY, Upgrade

if TYPE_CHECKING:
    from llmgate.pipeline import Session

__all__ = ["Bridge"]

INVALID_TEXT: Final = 1007


class Bridge:
    """One session under way.

    Args:
        call: The request that opened it.
        client: The client's end.
        session: The provider's end.
    """

    def __init__(self, call: Call, client: Upgrade, session: Session) -> None:
        self._call = call
        self._client = client
        self._session = session
        self._limits: SessionConfig = call.desk.config.sessions
        self._patience = call.desk.settings.send_timeout
        self._loop = asyncio.get_running_loop()
        self._started = self._last = self._loop.time()

    async def run(self, first: SocketMessage | None = None) -> SocketClose | None:
        """Relay until somebody closes; the provider's end is closed on return.

        Args:
            first: A message of the client that has been read already.

        Returns:
            How to close the client's end, None where the client has closed itself.

        Raises:
            ClientLeftError: the client has left without a word, or does not read.
            ProviderError: the provider's end broke.
        """
        lapsed = asyncio.create_task(self._session.lapsed())
        pumps = (asyncio.create_task(self._down()), asyncio.create_task(self._up(first)), lapsed)
        try:
            done = await self._until_one_ends(pumps)
            ended = next((pump for pump in pumps if pump in done), None)
            end = self._overtime() if ended is None else ended.result()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        who = "gateway" if ended in (None, lapsed) else "provider" if ended is pumps[0] else "client"
        self._session.note_end(who, end)
        await self._session.close(end)
        return None if who == "client" else end

    async def _until_one_ends(self, pumps: Sequence[asyncio.Task[SocketClose]]) -> set[asyncio.Task[SocketClose]]:
        """The direction that has ended, or the caller's right to it; empty when the session's time is over."""
        limits = self._limits
        while (left := min(self._started + limits.total, self._last + limits.idle) - self._loop.time()) > 0:
            done, _ = await asyncio.wait(pumps, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done
        return set()

    def _overtime(self) -> SocketClose:
        if self._loop.time() >= self._started + self._limits.total:
            return SocketClose(GOING_AWAY, f"the session has lasted {self._limits.total:g} s: open another one")
        return SocketClose(GOING_AWAY, f"nobody has said anything for {self._limits.idle:g} s")

    async def _up(self, message: SocketMessage | None) -> SocketClose:
        """Hand the client's messages on.

        Returns:
            How the client has closed.
        """
        while True:
            if message is not None:
                self._last = self._loop.time()
                refusal = await self._session.send(message)
                if refusal is not None:
                    await self._tell(refusal)
            received = await self._client.receive()
            if isinstance(received, SocketClose):
                return received
            message = received

    async def _down(self) -> SocketClose:
        """Hand the provider's messages on.

        Returns:
            How the provider has closed.
        """
        while True:
            received = await self._session.receive()
            if isinstance(received, SocketClose):
                return received
            self._last = self._loop.time()
            try:
                await self._tell(received)
            except UnicodeDecodeError:
                await self._session.close(SocketClose(INVALID_TEXT))
                raise ProviderProtocolError("the provider sent text that is not UTF-8") from None

    async def _tell(self, message: SocketMessage) -> None:
        await self._client.send(message, self._patience)
        self._call.reply.sent += len(message.data)
