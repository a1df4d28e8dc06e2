"""The one send loop: every byte of every answer leaves here, under a deadline; a silent stream shows signs of life.

An ASGI server's ``send`` has no deadline and never says that the peer is gone, so one timer a reply, re-armed lazily,
watches the send that is under way; the same timer counts the silence of a stream. No task is made per chunk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import attrs
from starlette.types import Message, Send

from .errors import ClientLeftError
from .headers import Headers

__all__ = ["Pulse", "Reply"]

NEVER: Final = float("inf")


@attrs.frozen
class Pulse:
    """How a stream shows that it is alive; seconds.

    Args:
        commit_after: After how long without content the head is sent all the same.
        interval: After how long a silent stream gets a sign of life.
        opening: The sign before the first frame.
        beat: The sign behind it: bytes that mean nothing in the stream's wire format.
        headers: Makes the headers of a head that is sent before any content.
    """

    commit_after: float
    interval: float
    opening: bytes
    beat: bytes
    headers: Callable[[], Headers]


class Reply:
    """The answer to one request.

    Args:
        send: The ASGI server's.
        patience: Seconds that one send may take.
        overrun: Called when a send takes longer: the reader is as good as gone.
    """

    __slots__ = (
        "_beating",
        "_last",
        "_loop",
        "_overrun",
        "_patience",
        "_pulse",
        "_send",
        "_since",
        "_spoken",
        "_timer",
        "finishing",
        "said",
        "sent",
        "status",
        "streaming",
    )

    def __init__(self, send: Send, *, patience: float, overrun: Callable[[], None]) -> None:
        self._send = send
        self._patience = patience
        self._overrun = overrun
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._last = 0.0
        self._pulse: Pulse | None = None
        self._beating: asyncio.Task[None] | None = None
        self._spoken = False
        self.status: int | None = None
        """The status sent, None while nothing has been."""
        self.streaming = False
        """Whether the answer is a stream whose head has been sent."""
        self.finishing = False
        """Whether the last bytes are on their way or gone."""
        self.sent = 0
        """Body bytes handed to the server."""
        self.said: frozenset[bytes] = frozenset()
        """Headers that a stage of the gateway says; where a provider says one of them too, the gateway's holds."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer that is known in full."""
        headers.append((b"content-length", b"%d" % len(body)))
        self.status = status
        await self._emit({"type": "http.response.start", "status": status, "headers": self._once(headers)})
        await self.end(body)

    async def begin(self, headers: Headers, status: int = 200) -> None:
        """Send the head of a stream, unless a sign of life has sent it already."""
        if self._beating is not None:
            await self._settle_beat()
        if self.status is None:
            await self._head(headers, status)

    async def piece(self, data: bytes) -> None:
        """Send whole frames of a stream."""
        if self._beating is not None:
            await self._settle_beat()
        self._spoken = True
        self.sent += len(data)
        await self._emit({"type": "http.response.body", "body": data, "more_body": True})

    async def quiet(self) -> None:
        """Show no more signs of life, and wait until one that is under way has left."""
        self._pulse = None
        if self._beating is not None:
            await self._settle_beat()

    async def end(self, data: bytes = b"") -> None:
        """Send the last bytes; nothing may follow."""
        await self.quiet()
        self.finishing = True
        self.sent += len(data)
        await self._emit({"type": "http.response.body", "body": data, "more_body": False})
        self.close()

    def live(self, pulse: Pulse) -> None:
        """Show signs of life from now on whenever the stream is silent."""
        self._pulse = pulse
        self._last = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(min(self._patience, pulse.commit_after, pulse.interval), self._tick)

    def close(self) -> None:
        """Stop every timer; idempotent."""
        self._pulse = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._beating is not None:
            self._beating.cancel()

    def release(self) -> None:
        """Nothing more will be sent: forget who wanted to know, so that no circle keeps the request in memory."""
        self._overrun = _nobody

    async def _head(self, headers: Headers, status: int = 200) -> None:
        self.streaming = True
        self.status = status
        await self._emit({"type": "http.response.start", "status": status, "headers": self._once(headers)})

    def _once(self, headers: Headers) -> Headers:
        """The headers, those that a stage says as they come first."""
        if not self.said or len(dict(headers)) == len(headers):
            return headers
        left = set(self.said)
        kept: Headers = []
        for name, value in headers:
            if name not in self.said or name in left:
                left.discard(name)
                kept.append((name, value))
        return kept

    async def _emit(self, message: Message) -> None:
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._patience, self._tick)
        try:
            await self._send(message)
        except OSError:
            # How some ASGI servers say that the peer is gone (ASGI 2.4).
            raise ClientLeftError from None
        finally:
            self._last = self._loop.time()
            self._since = 0.0

    def _tick(self) -> None:
        now = self._loop.time()
        due = NEVER
        if self._since:
            due = self._since + self._patience
            if now >= due:
                self._timer = None
                self._overrun()
                return
        elif self._pulse is not None and self._beating is None:
            due = self._last + (self._pulse.commit_after if self.status is None else self._pulse.interval)
            if now >= due:
                self._beating = self._loop.create_task(self._beat(self._pulse))
                due = now + self._pulse.interval
        self._timer = self._loop.call_at(min(due, now + self._patience), self._tick)

    async def _beat(self, pulse: Pulse) -> None:
        try:
            if self.status is None:
                await self._head(pulse.headers())
            beat = pulse.beat if self._spoken else pulse.opening
            self.sent += len(beat)
            await self._emit({"type": "http.response.body", "body": beat, "more_body": True})
        except ClientLeftError:
            pass  # The watcher of the request notices too, and ends it.
        finally:
            self._beating = None

    async def _settle_beat(self) -> None:
        """Wait until a sign of life that is under way has left, so that two sends never mix."""
        beating = self._beating
        if beating is not None:
            await asyncio.wait((beating,))


def _nobody() -> None:
    """Whom a reply calls once its request is over."""
