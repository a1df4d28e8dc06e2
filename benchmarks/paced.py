"""Many streams at once at a steady pace: whether every one of them arrives whole, and how late its events are.

Each event tells when the upstream sent it, by the monotonic clock that all processes of a machine share, so that the
delay of every single event is known. The streams begin one after another, as those of a busy server do.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from benchmarks.load import percentile
from benchmarks.loops import run
from benchmarks.payloads import PACED_MODEL, STREAM, request_bytes
from benchmarks.targets import Target

__all__ = ["Pace", "paced_figures"]

SENT: Final = re.compile(rb'"content":"(\d+\.\d+)"')
END: Final = STREAM[-1]
PATIENCE: Final = 30.0
"""Seconds that the last events may take after their time."""
BEGINNINGS: Final = 200
"""How many streams begin in a second."""


@attrs.frozen
class Pace:
    """How many streams there are at once, and what each of them is.

    Args:
        streams: How many.
        events: Timed events of each.
        interval: Milliseconds between two.
    """

    streams: int
    events: int
    interval: int


@attrs.define
class Seen:
    """What the streams have seen together; seconds."""

    delays: list[float] = attrs.field(factory=list)
    gaps: list[float] = attrs.field(factory=list)
    failures: list[str] = attrs.field(factory=list)


class Listener(asyncio.Protocol):
    """One stream, from its request to its end."""

    def __init__(self, request: bytes, events: int, seen: Seen) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._left = events
        self._seen = seen
        self._tail = b""
        self._last = 0.0
        self._head_seen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events of a piece and their delays."""
        now = time.monotonic()
        text = self._tail + data
        if not self._head_seen:
            self._head_seen = True
            if not text.startswith(b"HTTP/1.1 200 "):
                self._end(f"not a stream: {text[:300]!r}")
                return
        used = 0
        for found in SENT.finditer(text):
            used = found.end()
            self._left -= 1
            self._seen.delays.append(now - float(found[1]))
            if self._last:
                self._seen.gaps.append(now - self._last)
            self._last = now
        if END in text:
            self._end(self._count_is_wrong())
        self._tail = text[used:][-400:]

    def _count_is_wrong(self) -> str | None:
        if self._left:
            return "events are missing" if self._left > 0 else "there are too many events"
        return None

    def connection_lost(self, failure: Exception | None) -> None:
        """A connection that is lost before the end is a failure."""
        self._end("the connection was lost in the middle of a stream")

    def leave(self) -> None:
        """Cut the connection, whatever is still to come."""
        self._transport.abort()

    def _end(self, failure: str | None) -> None:
        if self.over.done():
            return
        self.over.set_result(None)
        if failure is not None:
            self._seen.failures.append(failure)
        self._transport.close()


def paced_figures(target: Target, pace: Pace, direct: Mapping[str, Any] | None) -> dict[str, Any]:
    """How many streams failed, and milliseconds that events come late.

    Args:
        target: What is asked.
        pace: What is asked of it.
        direct: The figures of the upstream itself, which all others are compared with.
    """
    request = request_bytes(
        port=target.process.port,
        model=target.asks(PACED_MODEL),
        stream=True,
        max_tokens=pace.events,
        seed=pace.interval,
    )
    cpu, memory = target.process.cpu_seconds(), target.process.resident_bytes()
    seen, peak = run(_listen(target, request, pace))
    spent = target.process.cpu_seconds()
    figures: dict[str, Any] = {"streams": pace.streams, "failed": len(seen.failures)}
    for name, values in (("delay", seen.delays), ("gap", seen.gaps)):
        for percent in (50, 99):
            figures[f"{name}_p{percent}_ms"] = percentile(values or [0.0], percent) * 1e3
    if direct is not None:
        figures["added_p50_ms"] = figures["delay_p50_ms"] - direct["delay_p50_ms"]
        figures["added_p99_ms"] = figures["delay_p99_ms"] - direct["delay_p99_ms"]
        if cpu is not None and spent is not None:
            figures["cpu_us_per_event"] = (spent - cpu) / max(1, len(seen.delays)) * 1e6
        if memory is not None and peak is not None:
            figures["kb_per_stream"] = (peak - memory) / pace.streams / 1e3
    if seen.failures:
        figures["first_failure"] = seen.failures[0]
    return figures


async def _listen(target: Target, request: bytes, pace: Pace) -> tuple[Seen, int | None]:
    """What all streams have seen, and the server's memory when they were all under way."""
    seen = Seen()
    loop = asyncio.get_running_loop()
    began = loop.time()
    listeners = []
    for number in range(pace.streams):
        await asyncio.sleep(began + number / BEGINNINGS - loop.time())
        try:
            _, listener = await loop.create_connection(
                lambda: Listener(request, pace.events, seen), "127.0.0.1", target.process.port
            )
        except OSError as failure:
            seen.failures.append(repr(failure))
        else:
            listeners.append(listener)
    resident = target.process.resident_bytes()
    if listeners:
        await asyncio.wait(
            [listener.over for listener in listeners], timeout=pace.events * pace.interval / 1e3 + PATIENCE
        )
    seen.failures += ["it did not end"] * sum(not listener.over.done() for listener in listeners)
    for listener in listeners:
        listener.leave()
    return seen, resident
