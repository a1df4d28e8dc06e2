"""What becomes of a server that is asked for three times what it can do: ``python -m benchmarks.overload``.

First a closed loop finds out what llmgate can do at its best. Then requests come at three times that rate, whether or
not answers do (an open loop, as a crowd of clients is one). Goodput is the rate of whole answers within that time, as a
share of the best; whoever gets none must be told so soon, by 503 with ``retry-after``.

Where other programs take the processor away in between, ``refusal_cpu`` says more: what a refusal costs the server of
its CPU time, as a share of what an answer costs, and the goodput that this leaves room for.

The figures are ratios of one run on one machine, and part of no table. It takes half a minute, and exits with 1 when
the goodput is below 70 % or a request got neither an answer nor a refusal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Final, cast

import attrs

from benchmarks.configurations import PROVIDER, configuration
from benchmarks.load import closed_loop, percentile
from benchmarks.payloads import ANSWER, MODEL, request_bytes
from benchmarks.processes import Cpus, Process, started
from benchmarks.targets import environment, upstream

__all__ = ["Outcome", "main", "open_loop"]

AT_ONCE: Final = 32
"""Requests that the gateway serves at once, and connections of the closed loop."""
TIMES: Final = 3.0
LEAST_GOODPUT: Final = 0.7
CONNECTIONS: Final = 500
PATIENCE: Final = 15.0


@attrs.define
class Outcome:
    """What a crowd got.

    Args:
        answered: Seconds that each whole answer took.
        shed: Seconds that each refusal took.
        failed: Requests that got neither.
    """

    answered: list[float] = attrs.field(factory=list)
    shed: list[float] = attrs.field(factory=list)
    failed: int = 0


class _Client(asyncio.Protocol):
    """A connection that carries one request at a time, and goes back to the idle ones."""

    def __init__(self, request: bytes, outcome: Outcome, idle: deque[_Client]) -> None:
        self._request = request
        self._outcome = outcome
        self._idle = idle
        self._answer = bytearray()
        self._sent = 0.0
        self._busy = False
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class
        self.open = True

    def connection_lost(self, failure: Exception | None) -> None:
        self.open = False
        if self._busy:
            self._busy = False
            self._outcome.failed += 1

    def close(self) -> None:
        """Hang up; what is under way counts no more."""
        self._busy = False
        self._transport.abort()

    def ask(self, since: float) -> None:
        """Send a request that came at that time."""
        self._sent, self._busy = since, True
        self._answer.clear()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        answer += data
        head, found, body = bytes(answer).partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not found or not length or len(body) < int(length):
            return
        self._busy = False
        taken = perf_counter() - self._sent
        if head.startswith(b"HTTP/1.1 200 ") and body == ANSWER:
            self._outcome.answered.append(taken)
        elif head.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: " in head:
            self._outcome.shed.append(taken)
        else:
            self._outcome.failed += 1
        if b"connection: close" in head:
            self._transport.close()
        elif self.open:
            self._idle.append(self)


async def open_loop(port: int, request: bytes, *, rate: float, seconds: float) -> Outcome:
    """Send requests at a rate for a time, whatever comes back, and wait for what is then under way.

    They go out over as many connections as a crowd would keep; one for which none is free waits, and its time counts.

    Args:
        port: Where the target listens on loopback.
        request: The whole request.
        rate: Requests in a second.
        seconds: How long.
    """
    loop, outcome, idle = asyncio.get_running_loop(), Outcome(), deque[_Client]()

    clients: list[_Client] = []

    async def connect() -> None:
        _, client = await loop.create_connection(lambda: _Client(request, outcome, idle), "127.0.0.1", port)
        clients.append(client)
        idle.append(client)

    for _ in range(CONNECTIONS):
        await connect()
    begun, arrived, waiting = perf_counter(), 0, deque[float]()
    while (passed := perf_counter() - begun) < seconds or (_ended(outcome) < arrived and passed < seconds + PATIENCE):
        while passed < seconds and arrived < rate * passed:
            waiting.append(begun + arrived / rate)
            arrived += 1
        while idle and waiting:
            client = idle.pop()
            if client.open:
                client.ask(waiting.popleft())
            else:
                await connect()
        await asyncio.sleep(0.001)
    outcome.failed += arrived - _ended(outcome)
    for client in clients:
        client.close()
    while any(client.open for client in clients):
        await asyncio.sleep(0)
    return outcome


def _ended(outcome: Outcome) -> int:
    return len(outcome.answered) + len(outcome.shed) + outcome.failed


def _measure(process: Process, seconds: float) -> dict[str, Any]:
    request = request_bytes(port=process.port, model=f"{PROVIDER}/{MODEL}", stream=False)
    for length in (seconds / 4, seconds):
        best = asyncio.run(
            closed_loop(process.port, request, ANSWER, seconds=length, concurrency=AT_ONCE, cpu=process.cpu_seconds)
        )
    before = process.cpu_seconds()
    outcome = asyncio.run(open_loop(process.port, request, rate=TIMES * best.rate, seconds=seconds))
    after = process.cpu_seconds()
    figures = {
        "times": TIMES,
        "goodput": len(outcome.answered) / seconds / best.rate,
        "answered": len(outcome.answered),
        "shed": len(outcome.shed),
        "failed": outcome.failed,
        "answered_p99_ms": percentile(outcome.answered, 99) * 1e3 if outcome.answered else None,
        "shed_p50_ms": percentile(outcome.shed, 50) * 1e3 if outcome.shed else None,
        "shed_p99_ms": percentile(outcome.shed, 99) * 1e3 if outcome.shed else None,
    }
    each = best.cpu_per_request
    if each is not None and before is not None and after is not None and outcome.shed:
        share = ((after - before) / each - len(outcome.answered)) / len(outcome.shed)
        figures |= {"refusal_cpu": share, "goodput_by_cpu": (1 - TIMES * share) / (1 - share)}
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload", description="Ask for three times what llmgate can do."
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the crowd")
    parser.add_argument("--unbounded", action="store_true", help="without a bound on requests at once, to compare")
    args = parser.parse_args(argv)
    cpus = Cpus.of_this_machine()
    with tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory, upstream(cpus) as provider:
        bound = {} if args.unbounded else {"max-concurrent-requests": AT_ONCE}
        file = Path(directory) / "llmgate.yaml"
        file.write_text(json.dumps({**configuration(provider.port), "server": bound}), encoding="utf-8")
        command = ["-m", "llmgate", "serve", "--port", "0", "--config", str(file)]
        with (
            started(command, cpu=cpus.server, environment=environment(), directory=Path(directory)) as process,
            cpus.pinned(cpus.load),
        ):
            figures = _measure(process, args.seconds)
    print(json.dumps(figures, indent=2))
    kept = figures["goodput"] >= LEAST_GOODPUT and not figures["failed"]
    return 0 if kept or args.unbounded else 1


if __name__ == "__main__":
    sys.exit(main())
