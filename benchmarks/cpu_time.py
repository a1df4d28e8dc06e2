"""``python -m benchmarks.cpu_time``: what limits, the cache and routing add to a request, in CPU time of a server.

The same cases as in ``instructions.py``, but whole: each is a server of its own that is asked over HTTP, and what it
tells of its limits in headers is part of it. User and system time count, of the server process and its descendants;
the wall clock does not. All servers run, and each is loaded once in every repetition, in an order that chance makes
anew; ratios are taken within a repetition, and their median is given. Other programs on the machine disturb that less
than a throughput, yet they do, by the caches of the processor: run it where nothing else does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.guards import CASES, body, settings
from benchmarks.instructions import AIM
from benchmarks.load import closed_loop
from benchmarks.payloads import ANSWER, KEY, MODEL, PATH
from benchmarks.processes import Cpus, Process, started
from benchmarks.targets import BARE, environment, upstream

__all__ = ["added", "main", "measured"]

CONCURRENCY: Final = 16
_WARM_UP: Final = 0.3
"""Part of a sample's length for which a server is loaded before it is measured."""


def _request(port: int, model: str) -> bytes:
    data = body().replace(json.dumps(MODEL).encode(), json.dumps(model).encode(), 1)
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Content-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


@contextlib.contextmanager
def _servers(cases: Sequence[str], provider: Process, cpus: Cpus) -> Iterator[Mapping[str, Process]]:
    """The bare pass-through and a gateway for each case, all running."""
    with contextlib.ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="llmgate-bench-")))
        programs = {BARE: ["-m", "benchmarks.bare", f"http://127.0.0.1:{provider.port}{PATH}"]}
        for number, case in enumerate(cases):
            file = directory / f"{number}.yaml"
            file.write_text(json.dumps(settings(case, f"http://127.0.0.1:{provider.port}/v1")), encoding="utf-8")
            programs[case] = ["-m", "llmgate", "serve", "--port", "0", "--config", str(file)]
        yield {
            name: exits.enter_context(started(program, cpu=cpus.server, environment=environment(), directory=directory))
            for name, program in programs.items()
        }


def measured(cases: Sequence[str], *, seconds: float, repetitions: int) -> Sequence[Mapping[str, float]]:
    """CPU seconds for each request, by what is measured, of every repetition.

    Args:
        cases: Out of ``CASES``; the bare pass-through is always among them.
        seconds: How long each is loaded.
        repetitions: How often.

    Raises:
        RuntimeError: this system does not tell the CPU time of a process.
    """
    cpus, found = Cpus.of_this_machine(), []
    with upstream(cpus) as provider, _servers(cases, provider, cpus) as servers, cpus.pinned(cpus.load):
        for _ in range(repetitions):
            row: dict[str, float] = {}
            for name in random.sample(list(servers), len(servers)):
                process = servers[name]
                request = _request(process.port, MODEL if name == BARE else f"main/{MODEL}")
                for length in (_WARM_UP * seconds, seconds):
                    sample = asyncio.run(
                        closed_loop(
                            process.port,
                            request,
                            ANSWER,
                            seconds=length,
                            concurrency=CONCURRENCY,
                            cpu=process.cpu_seconds,
                        )
                    )
                if sample.cpu_per_request is None:
                    raise RuntimeError("this system does not tell the CPU time of a process: run it on Linux")
                row[name] = sample.cpu_per_request
            found.append(row)
    return found


def added(found: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """What each case adds to a plain request, as a part of the bare pass-through: the median of the repetitions."""
    return {
        case: statistics.median((row[case] - row["plain"]) / row[BARE] for row in found)
        for case in found[0]
        if case not in {BARE, "plain"}
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where all of them together add more than they should."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cpu_time", description="What limits, the cache and routing add, in CPU time."
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a sample")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--every-case", action="store_true", help="each of them by itself, too")
    args = parser.parse_args(argv)
    cases = list(CASES) if args.every_case else ["plain", "all"]
    found = measured(cases, seconds=args.seconds, repetitions=args.repetitions)
    microseconds = {name: round(1e6 * statistics.median(row[name] for row in found), 1) for name in found[0]}
    told = {"cpu_us": microseconds, "added": added(found), "aim": AIM}
    print(json.dumps(told, indent=1))
    return 0 if added(found)["all"] <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
