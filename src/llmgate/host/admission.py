"""How many requests are served at once: beyond that a few wait for a moment, and the others are told to come back.

A server that takes whatever comes spends its time, past its capacity, on requests that nobody waits for any more. One
that refuses early does what it can do; but a refusal must be cheap, or refusing is all that it does. So where one more
could not even wait, a request is refused as it stands on the wire, before anything of it is made into objects.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import re
from collections import deque
from collections.abc import Collection
from typing import Final

from llmgate.config.model import ServerConfig
from llmgate.formats import get_format
from llmgate.spec import OverloadedError

from .dialects import dialect_of
from .headers import JSON_HEADERS

__all__ = ["Admission"]

log = logging.getLogger("llmgate.host")

RETRY_AFTER: Final = 1.0
"""Seconds after which a client that was refused may come back."""
TURNS: Final = 4
"""Turns of the event loop within which a request that was let pass on the wire has come in, or is none."""
WATCHFUL: Final = 1000
"""Up to this bound arrivals are counted as they come: more than this may come within one turn of the event loop."""
EACH: Final = 10.0
"""Seconds between two lines of the log about it, at least."""

PLAIN_HEAD: Final = re.compile(
    rb"""
      POST\ (?P<path>/[!-~]*)\ HTTP/1\.1\r\n
      (?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\ -~\x80-\xff]*\r\n)+
      \r\n
    """,
    re.VERBOSE,
)
LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n")
UNUSUAL: Final = re.compile(rb"\r\n(?:transfer-encoding:|expect:|upgrade:|connection:(?![ \t]*keep-alive[ \t]*\r\n))")
"""What makes a request one that is read with more care."""


class Admission:
    """Keeps requests waiting, first come, first served, and refuses those that cannot.

    Args:
        settings: How many there may be, and how long one waits.
        served: The requests that are here, those that wait among them.

    Attributes:
        most: Requests that are served at once.
        refused: Requests that were refused.
        tight: Whether somebody must look whether there is room for another: so many are here, or may come at once.
    """

    __slots__ = ("_before", "_coming", "_patience", "_places", "_queue", "_said", "_served", "_turn", "_waiting",
                 "most", "refused", "tight")  # fmt: skip

    def __init__(self, settings: ServerConfig, served: Collection[object]) -> None:
        self.most = settings.max_concurrent_requests
        self._served = served
        self._queue = settings.max_queued_requests
        self._places = float(self._queue)
        """How many may wait at the moment: as many as get their turn in time."""
        self._patience = settings.queue_timeout
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._coming = self._before = 0
        """Requests that were let pass on the wire and have not come in: of the last turns, and of those before."""
        self._turn = 0
        self._said = (-EACH, 0)
        self.refused = 0
        self.tight = self.most <= WATCHFUL

    @property
    def waiting(self) -> int:
        """Requests that wait now."""
        return len(self._waiting)

    @property
    def must_wait(self) -> bool:
        """Whether the request that has just come in is one too many."""
        return len(self._served) - len(self._waiting) > self.most

    def entered(self) -> None:
        """A request has come in."""
        self.tight = True
        if self._before:
            self._before -= 1
        elif self._coming:
            self._coming -= 1

    def left(self) -> None:
        """A request has ended: those that have waited longest go in."""
        room = self.most - (len(self._served) - len(self._waiting))
        while room > 0 and self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                room -= 1
                self._places = min(self._queue, self._places + 1 / self._places)
        self.tight = self.most <= WATCHFUL or len(self._served) >= self.most

    async def turn(self) -> None:
        """Wait until one of the requests that are served has ended.

        Raises:
            OverloadedError: too many wait already, or none has ended in time.
        """
        if len(self._waiting) < self._places:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[bool] = loop.create_future()
            self._waiting.append(waiter)
            timer = loop.call_later(self._patience, _give_up, waiter)
            try:
                if await waiter:
                    return
            finally:
                timer.cancel()
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
            # It waited in vain, so fewer are to wait; as turns come in time, more may again.
            self._places = max(1.0, self._places * 0.75)
        self._count_refusal()
        raise _refusal()

    def refuse(self, data: bytes) -> bytes | None:
        """The answer that refuses a request in its own words; None where it may come in, or is to be read with care.

        Args:
            data: What has come: one whole request, with nothing behind it, or it is none of ours.
        """
        if len(self._served) + self._coming + self._before < self.most + self._places:
            if not self._turn:
                asyncio.get_running_loop().call_soon(self._next_turn)
                self._turn = 1
            self._coming += 1
            return None
        end = data.find(b"\r\n\r\n") + 4
        plain = PLAIN_HEAD.fullmatch(data, 0, end) if end > 4 else None
        if plain is None:
            return None
        head = data[:end].lower()
        lengths = LENGTH.findall(head)
        if head.count(b"content-length") != 1 or len(lengths) != 1 or len(data) != end + int(lengths[0]):
            return None
        if UNUSUAL.search(head):
            return None
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:-2])
        headers = {name.decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines}
        path = plain["path"].partition(b"?")[0].decode("ascii")
        self._count_refusal()
        return _answer(dialect_of(path, headers))

    def _next_turn(self) -> None:
        """The event loop has turned; what has passed long ago and not come in is forgotten."""
        self._turn += 1
        if self._turn > TURNS:
            self._turn, self._before, self._coming = 1, self._coming, 0
        if self._coming or self._before:
            asyncio.get_running_loop().call_soon(self._next_turn)
        else:
            self._turn = 0

    def _count_refusal(self) -> None:
        self.refused += 1
        now = asyncio.get_running_loop().time()
        since, before = self._said
        if now - since >= EACH:
            self._said = now, self.refused
            log.warning(
                "too many requests at once: %d refused; server.max-concurrent-requests is %d",
                self.refused - before,
                self.most,
            )


@functools.cache
def _answer(wire_format: str) -> bytes:
    """The whole refusal as it goes out in a wire format."""
    error, shape = _refusal(), get_format(wire_format)
    body = shape.encode_error(error)
    headers = [*JSON_HEADERS, (b"retry-after", b"%d" % RETRY_AFTER), (b"content-length", b"%d" % len(body))]
    return b"HTTP/1.1 %d \r\n%b\r\n%b" % (
        shape.error_status(error),
        b"".join(b"%b: %b\r\n" % one for one in headers),
        body,
    )


def _refusal() -> OverloadedError:
    return OverloadedError(
        "the gateway serves as many requests as it is told to at once: send it again in a moment",
        retry_after=RETRY_AFTER,
    )


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
