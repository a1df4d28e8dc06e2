"""Where the server's CPU time goes: ``python -m benchmarks.sampling [requests|streams] [TARGET]``, sampled under load.

The server samples its own stack a thousand times per second of CPU time; nothing is installed and nothing is traced, so
what is seen is what runs.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import runpy
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from benchmarks.configurations import LLMGATE
from benchmarks.load import LoadError, closed_loop
from benchmarks.loops import run
from benchmarks.payloads import EVENTS
from benchmarks.processes import ROOT, Cpus, ProcessError
from benchmarks.targets import NAMES, running, upstream

__all__ = ["main"]

INTERVAL: Final = 0.001
CONCURRENCY: Final = 16
SAMPLED: Final = "--be"
"""The argument that makes this module be another one, sampled."""


class Sampler:
    """Counts the lines that run and the functions under way; the first SIGUSR1 starts it, the second ends it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._samples = 0
        self._lines: collections.Counter[str] = collections.Counter()
        self._functions: collections.Counter[str] = collections.Counter()

    def toggle(self, number: int, frame: FrameType | None) -> None:
        """Start, or stop and write down."""
        if signal.getitimer(signal.ITIMER_PROF)[0]:
            signal.setitimer(signal.ITIMER_PROF, 0)
            figures = {"samples": self._samples, "lines": self._lines, "functions": self._functions}
            draft = self._file.with_suffix(".draft")
            draft.write_text(json.dumps(figures), encoding="utf-8")
            draft.rename(self._file)
        else:
            signal.signal(signal.SIGPROF, self._sample)
            signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self._samples += 1
        self._lines[f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}"] += 1
        seen = set()
        while frame is not None:
            code = frame.f_code
            seen.add(f"{code.co_filename}:{code.co_firstlineno} {code.co_qualname}")
            frame = frame.f_back
        self._functions.update(seen)


def _run_sampled(file: str, module: str, arguments: Sequence[str]) -> None:
    """Be ``python -m MODULE ARGUMENTS``, sampled."""
    signal.signal(signal.SIGUSR1, Sampler(Path(file)).toggle)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Load one target, and print where its time went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("requests", "streams"), default="requests")
    parser.add_argument("target", nargs="?", choices=NAMES[1:], default=LLMGATE)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rows", type=int, default=30)
    args = parser.parse_args(argv)
    try:
        figures, requests, cpu = _profiled(args.what, args.target, args.seconds)
    except (LoadError, ProcessError) as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 1
    per_request = cpu / requests * 1e6
    print(
        f"{args.target}, {args.what}: {requests} requests, {per_request:,.0f} CPU µs each, {figures['samples']} samples"
    )
    if args.what == "streams":
        print(f"{per_request / EVENTS:.1f} CPU µs an event")
    for title, counts in (
        ("by package, self", _by_package(figures["lines"])),
        ("functions, with what they call", _by_place(figures["functions"])),
        ("lines, self", _by_place(figures["lines"])),
    ):
        print(f"\n{title}")
        for place, count in counts.most_common(args.rows):
            share = count / figures["samples"]
            print(f"{share:6.1%} {share * per_request:7.1f} µs  {place}")
    return 0


def _profiled(what: str, name: str, seconds: float) -> tuple[dict[str, Any], int, float]:
    cpus = Cpus.of_this_machine()
    streams = what == "streams"
    with (
        tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory,
        upstream(cpus) as provider,
        running([name], provider, cpus, sampler=["benchmarks.sampling", SAMPLED, f"{directory}/profile.json"]) as (
            target,
        ),
    ):
        file = Path(directory) / "profile.json"

        def load(length: float) -> Any:
            with cpus.pinned(cpus.load):
                return run(
                    closed_loop(
                        target.process.port,
                        target.request(stream=streams),
                        target.expects(stream=streams),
                        seconds=length,
                        concurrency=CONCURRENCY,
                        changing=target.rewrites,
                        cpu=target.process.cpu_seconds,
                    )
                )

        load(seconds / 4)
        os.kill(target.process.pid, signal.SIGUSR1)
        sample = load(seconds)
        os.kill(target.process.pid, signal.SIGUSR1)
        return _written(file), sample.requests, sample.cpu or 0.0


def _written(file: Path) -> dict[str, Any]:
    """What the sampled process has seen, once it has been written whole."""
    for _ in range(200):
        time.sleep(0.05)
        if file.exists():
            figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return figures
    raise ProcessError("the sampled process wrote nothing down")


def _by_package(lines: dict[str, int]) -> collections.Counter[str]:
    packages: collections.Counter[str] = collections.Counter()
    for place, count in lines.items():
        short = _short(place)
        parts = short.partition(":")[0].split("/")
        packages["/".join(parts[:2]) if parts[0] == "llmgate" else parts[0].removesuffix(".py")] += count
    return packages


def _by_place(counts: dict[str, int]) -> collections.Counter[str]:
    return collections.Counter({_short(place): count for place, count in counts.items()})


def _short(place: str) -> str:
    """A place without what only this machine knows."""
    for folder in (ROOT / "src", Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")), ROOT):
        if place.startswith(f"{folder}/"):
            return place[len(str(folder)) + 1 :]
    return place


if __name__ == "__main__":
    if sys.argv[1:2] == [SAMPLED]:
        _run_sampled(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.exit(main())
