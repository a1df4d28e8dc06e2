"""Instructions that a server spends on a request: ``python -m benchmarks.served [requests|streams] [TARGET...]``.

For machines that others use, where times say little: the number of instructions hardly depends on them. Each target
runs under valgrind, which counts only while warm requests are answered, and is asked for one after another; what a
server gains by doing several at once is not seen. It takes a minute or two for each target.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.configurations import EVERYTHING, LLMGATE
from benchmarks.load import closed_loop
from benchmarks.loops import run
from benchmarks.payloads import EVENTS
from benchmarks.processes import Cpus
from benchmarks.targets import BARE, NAMES, Target, running, upstream

__all__ = ["counted", "main"]

COUNT: Final = 150
_SWITCH: Final = ("callgrind_control", "-i")
_TOTALS: Final = re.compile(r"(?m)^totals: (\d+)")


def counted(name: str, *, streams: bool, count: int = COUNT) -> float:
    """Instructions of one request.

    Args:
        name: The target.
        streams: Whether it is asked for streams.
        count: How many requests are counted, after as many again that are not.
    """
    unpinned = Cpus(None, None)
    with tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory:
        out = Path(directory) / "callgrind.out"
        valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
        # Hashes by chance would let the same program take different ways.
        program = ("env", "PYTHONHASHSEED=0", *valgrind, sys.executable)
        with upstream(unpinned) as provider, running([name], provider, unpinned, program=program) as (target,):
            _ask(target, streams=streams, count=count)
            subprocess.run([*_SWITCH, "on", str(target.process.pid)], check=True, stdout=subprocess.DEVNULL)
            _ask(target, streams=streams, count=count)
            subprocess.run([*_SWITCH, "off", str(target.process.pid)], check=True, stdout=subprocess.DEVNULL)
        return sum(int(found) for found in _TOTALS.findall(out.read_text(encoding="utf-8"))) / count


def _ask(target: Target, *, streams: bool, count: int) -> None:
    request, expected = target.request(stream=streams), target.expects(stream=streams)
    run(
        closed_loop(
            target.process.port,
            request,
            expected,
            seconds=600,
            concurrency=1,
            changing=target.rewrites,
            count=count,
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Count, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.served", description="Count the instructions of a request under valgrind."
    )
    parser.add_argument("what", nargs="?", choices=("requests", "streams"), default="requests")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {'; '.join(NAMES[2:])}")
    parser.add_argument("--count", type=int, default=COUNT, help="requests that are counted")
    args = parser.parse_args(argv)
    streams = args.what == "streams"
    found: dict[str, float] = {}
    for name in args.targets or (BARE, LLMGATE, EVERYTHING):
        found[name] = counted(name, streams=streams, count=args.count)
        print(json.dumps(_told(name, found, streams=streams)), flush=True)
    return 0


def _told(name: str, found: Mapping[str, float], *, streams: bool) -> Mapping[str, object]:
    told: dict[str, object] = {"target": name, "instructions": round(found[name])}
    if streams:
        told["each event"] = round(found[name] / EVENTS)
    if BARE in found:
        told["of bare"] = round(found[name] / found[BARE], 3)
    return told


if __name__ == "__main__":
    sys.exit(main())
