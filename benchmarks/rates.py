"""What a gateway adds to an answer's time at a steady rate: requests come when they come, whether or not answers do."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, cast

from benchmarks.load import LENGTH, LoadError, numbered, percentile
from benchmarks.loops import run
from benchmarks.targets import DIRECT, Target

__all__ = ["RATES", "at_rate", "rate_figures"]

RATES: Final = (200, 1000)
"""Requests in a second."""
CONNECTIONS: Final = 16
"""Open from the beginning; more where these are all busy."""
PATIENCE: Final = 10.0


class _Caller(asyncio.Protocol):
    """A connection that carries one request at a time, and goes back to the idle ones."""

    def __init__(
        self, expected: bytes, taken: list[float], idle: deque[_Caller], failed: Callable[[str], None]
    ) -> None:
        self._expected, self._taken, self._idle, self._failed = expected, taken, idle, failed
        self._answer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self._idle.append(self)

    def connection_lost(self, failure: Exception | None) -> None:
        if self._sent:
            self._failed("the connection was lost in the middle of an answer")
        elif self in self._idle:
            self._idle.remove(self)

    def ask(self, request: bytes) -> None:
        self._answer, self._sent = b"", perf_counter()
        self._transport.write(request)

    def leave(self) -> None:
        self._sent = 0.0
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return
        length = LENGTH.search(head)
        if length is not None and len(body) < int(length[1]):
            return
        taken, self._sent = now - self._sent, 0.0
        if body == self._expected and head.startswith(b"HTTP/1.1 200 "):
            self._taken.append(taken)
            self._idle.append(self)
        else:
            self._failed(f"a wrong answer: {head[:100]!r} {body[:200]!r}")


async def at_rate(target: Target, rate: int, seconds: float) -> Sequence[float]:
    """Seconds that each answer took.

    Args:
        target: What is asked.
        rate: Requests in a second, evenly.
        seconds: How long.

    Raises:
        LoadError: an answer was wrong, or did not come.
    """
    loop = asyncio.get_running_loop()
    taken: list[float] = []
    failures: list[str] = []
    idle: deque[_Caller] = deque()
    callers: list[_Caller] = []
    next_request = numbered(target.request(stream=False))

    async def connect() -> None:
        def caller() -> _Caller:
            return _Caller(target.expects(stream=False), taken, idle, failures.append)

        _, protocol = await loop.create_connection(caller, "127.0.0.1", target.process.port)
        callers.append(protocol)

    count = int(rate * seconds)
    try:
        for _ in range(CONNECTIONS):
            await connect()
        begun = loop.time()
        for number in range(count):
            await asyncio.sleep(begun + number / rate - loop.time())
            if not idle:
                await connect()
            idle.popleft().ask(next_request())
        async with asyncio.timeout(PATIENCE):
            while len(taken) + len(failures) < count:
                await asyncio.sleep(0.005)
    except (TimeoutError, OSError) as failure:
        raise LoadError(f"{target.name} does not keep up with {rate} requests/s: {failure!r}") from failure
    finally:
        for one in callers:
            one.leave()
        await asyncio.sleep(0)
    if failures:
        raise LoadError(f"{target.name} at {rate} requests/s: {failures[0]}")
    return taken


def rate_figures(targets: Sequence[Target], seconds: float, repetitions: int) -> Mapping[str, Any]:
    """Milliseconds at each rate, and what is added to the upstream's own in the same repetition."""
    order, chance = list(targets), random.Random(20)
    seen: dict[tuple[int, str], list[tuple[float, float, float]]] = {}
    for _ in range(repetitions):
        for rate in RATES:
            chance.shuffle(order)
            for target in order:
                cpu = target.process.cpu_seconds() or 0.0
                taken = run(at_rate(target, rate, seconds))
                spent = ((target.process.cpu_seconds() or 0.0) - cpu) / len(taken)
                figures = (percentile(taken, 50) * 1e3, percentile(taken, 99) * 1e3, spent * 1e6)
                seen.setdefault((rate, target.name), []).append(figures)
    names = [target.name for target in targets]
    return {f"{name}, {rate}/s": _figures(seen, rate, name) for rate in RATES for name in names}


def _figures(seen: Mapping[tuple[int, str], Sequence[tuple[float, float, float]]], rate: int, name: str) -> Any:
    mine = seen[rate, name]
    figures = {
        "p50_ms": statistics.median(p50 for p50, _, _ in mine),
        "p99_ms": statistics.median(p99 for _, p99, _ in mine),
    }
    if name != DIRECT and (rate, DIRECT) in seen:
        both = list(zip(mine, seen[rate, DIRECT], strict=True))
        figures["added_p50_ms"] = statistics.median(one[0] - alone[0] for one, alone in both)
        figures["added_p99_ms"] = statistics.median(one[1] - alone[1] for one, alone in both)
        figures["cpu_us_per_request"] = statistics.median(cpu for _, _, cpu in mine)
    return figures
