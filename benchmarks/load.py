"""A closed-loop load generator that is never the bottleneck: raw ``asyncio.Protocol``, each answer checked whole."""

from __future__ import annotations

import asyncio
import itertools
import re
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter, time_ns
from typing import cast

import attrs

from benchmarks.payloads import NUMBER

__all__ = ["LoadError", "Sample", "closed_loop", "numbered", "percentile", "plain"]

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
CHANGING = re.compile(rb'"(?:created|[a-z_]*id)": ?(?:\d+|"[^"]*")')
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)

PATIENCE = 20.0
"""Seconds that the last answers may take after the time is over."""
MAX_REQUESTS = 500_000
"""Upper bound of one sample, whatever its time."""


class LoadError(Exception):
    """A target did not answer as it must; figures made of wrong answers are worth nothing."""


@attrs.frozen
class Sample:
    """What one round of load saw; times in seconds.

    Args:
        requests: Answers, each of them whole and right.
        elapsed: From the first request to the last answer.
        latencies: Of each request, until its last byte.
        first_bytes: Of each request, until the first byte of the body.
        cpu: What the server spent of its CPU meanwhile; None where it cannot be known.
        memory: Resident bytes of the server afterwards; None where they cannot be known.
    """

    requests: int
    elapsed: float
    latencies: Sequence[float] = attrs.field(repr=False)
    first_bytes: Sequence[float] = attrs.field(repr=False)
    cpu: float | None = None
    memory: int | None = None

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.elapsed

    @property
    def cpu_per_request(self) -> float | None:
        """CPU seconds of the server for each request."""
        return None if self.cpu is None else self.cpu / self.requests


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which ``percent`` of 100 lie."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def numbered(request: bytes) -> Callable[[], bytes]:
    """What gives the request with another number in the place of ``NUMBER`` each time."""
    head, found, tail = request.partition(NUMBER)
    if not found:
        return lambda: request
    numbers = itertools.count(time_ns())
    return lambda: b"%b%012d%b" % (head, next(numbers) % 10**12, tail)


def plain(body: bytes) -> bytes:
    """An answer without what changes from one to the next where a server writes it anew: ids and times."""
    return CHANGING.sub(b"", body)


class Round:
    """One round: what all connections send, expect and have seen so far."""

    def __init__(self, request: bytes, expected: bytes, until: float, *, changing: bool, most: int) -> None:
        self.most = most
        self.next_request = numbered(request)
        self.changing = changing
        self.expected = plain(expected) if changing else expected
        self.until = until
        self.latencies: list[float] = []
        self.first_bytes: list[float] = []
        self.last = 0.0
        self.failure: str | None = None

    def over(self) -> bool:
        """Whether no further request is to be sent."""
        return self.failure is not None or self.last >= self.until or len(self.latencies) >= self.most


class Client(asyncio.Protocol):
    """One connection of the closed loop: the next request goes out when the answer to the last one is whole."""

    def __init__(self, round_: Round) -> None:
        self.round = round_
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answer = bytearray()
        self._busy = False
        self._closes = False
        self._chunked = False
        self._body_at = 0
        self._end = 0
        self._sent = 0.0
        self._first_byte = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._send()

    def connection_lost(self, failure: Exception | None) -> None:
        """A connection that is lost while an answer is due spoils the round."""
        if self._busy:
            self.round.failure = f"the connection was lost in the middle of an answer: {bytes(self._answer[:300])!r}"
        if not self.left.done():
            self.left.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take a piece of the answer."""
        answer = self._answer
        answer += data
        if not self._body_at:
            head_end = answer.find(b"\r\n\r\n")
            if head_end < 0:
                return
            self._body_at = head_end + 4
            self._read_head(bytes(answer[: self._body_at]))
            if not self._busy:
                return
        if not self._first_byte and len(answer) > self._body_at:
            self._first_byte = perf_counter()
        if self._whole():
            self._finish()

    def _send(self) -> None:
        self._answer.clear()
        self._body_at = 0
        self._first_byte = 0.0
        self._busy = True
        self._sent = perf_counter()
        self._transport.write(self.round.next_request())

    def _read_head(self, head: bytes) -> None:
        self._closes = CLOSES.search(head) is not None
        self._chunked = CHUNKED.search(head) is not None
        length = LENGTH.search(head)
        self._end = self._body_at + int(length[1]) if length else 0
        if not head.startswith(b"HTTP/1.1 200 ") or not (self._chunked or length):
            self._fail(f"not an answer: {head!r} {bytes(self._answer[self._body_at : self._body_at + 300])!r}")

    def _whole(self) -> bool:
        if self._chunked:
            return self._answer.endswith(b"\r\n0\r\n\r\n")
        return len(self._answer) >= self._end

    def _finish(self) -> None:
        now = perf_counter()
        round_ = self.round
        self._busy = False
        body = _joined(self._answer, self._body_at) if self._chunked else bytes(self._answer[self._body_at :])
        if body != round_.expected and not (round_.changing and plain(body) == round_.expected):
            self._fail(f"a wrong answer: {body[:300]!r} ... {body[-200:]!r}")
            return
        round_.latencies.append(now - self._sent)
        round_.first_bytes.append(self._first_byte - self._sent)
        round_.last = now
        if self._closes or round_.over():
            self._transport.close()
        else:
            self._send()

    def _fail(self, reason: str) -> None:
        self._busy = False
        self.round.failure = reason
        self._transport.abort()


def _joined(answer: bytearray, at: int) -> bytes:
    """The body that a chunked answer carries."""
    pieces: list[bytearray] = []
    while True:
        line_end = answer.index(b"\r\n", at)
        size = int(answer[at:line_end], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(answer[line_end + 2 : line_end + 2 + size])
        at = line_end + 4 + size


async def _keep_busy(port: int, round_: Round) -> None:
    """One slot of the loop; connects anew when the server closes a connection between two requests."""
    loop = asyncio.get_running_loop()
    while not round_.over():
        _, client = await loop.create_connection(lambda: Client(round_), "127.0.0.1", port)
        await client.left


async def closed_loop(
    port: int,
    request: bytes,
    expected: bytes,
    *,
    seconds: float,
    concurrency: int,
    changing: bool = False,
    count: int = MAX_REQUESTS,
    cpu: Callable[[], float | None] = lambda: None,
) -> Sample:
    """Keep ``concurrency`` requests under way for a time, and let those that are then under way end.

    Args:
        port: Where the target listens on loopback.
        request: The whole request.
        expected: The body that each answer must have, chunked or not.
        seconds: How long.
        concurrency: Connections, each with one request at a time.
        changing: Whether ids and times may differ from those expected.
        count: How many answers are enough, whatever the time.
        cpu: Tells the CPU seconds that the server has spent so far.

    Raises:
        LoadError: an answer was not what it must be, or did not come.
    """
    before = cpu()
    started = perf_counter()
    round_ = Round(request, expected, started + seconds, changing=changing, most=count)
    try:
        async with asyncio.timeout(seconds + PATIENCE):
            await asyncio.gather(*(_keep_busy(port, round_) for _ in range(concurrency)))
    except (TimeoutError, OSError) as failure:
        raise LoadError(f"the target does not answer: {failure!r}") from failure
    if round_.failure is not None:
        raise LoadError(round_.failure)
    after = cpu()
    spent = None if before is None or after is None else after - before
    return Sample(len(round_.latencies), round_.last - started, round_.latencies, round_.first_bytes, spent)
