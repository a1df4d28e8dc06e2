"""``python -m benchmarks``: measures everything as ratios in one run, on loopback, bounded in count and time."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.figures import bars, import_figures, load_figures
from benchmarks.imports import import_costs
from benchmarks.load import LoadError, Sample, closed_loop
from benchmarks.payloads import ANSWER, STREAM, request_bytes
from benchmarks.processes import ROOT, Cpus, Process, ProcessError
from benchmarks.targets import NAMES, Target, environment, running, upstream

CONCURRENCY: Final = 16
PARTS: Final = ("import", "requests", "streams", "in-process")

FULL: Final = {"seconds": 2.0, "repetitions": 12, "imports": 31}
QUICK: Final = {"seconds": 0.8, "repetitions": 5, "imports": 15}
WARM_UP_SHARE: Final = 0.15
"""Share of a round's time that each target is loaded before it, so that every round finds warm caches."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure llmgate against a bare pass-through, as ratios in one run (about 5 minutes).",
        epilog="Exit status: 0 every bar is kept, 1 one is missed or a target fails, 2 the command line is wrong.",
    )
    parser.add_argument("--quick", action="store_true", help="about 75 seconds: fewer and shorter repetitions")
    parser.add_argument("--no-bars", action="store_true", help="only print; no figure makes the run fail")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}; may be repeated"
    )
    parser.add_argument(
        "--target", action="append", choices=NAMES, metavar="NAME", help=f"one of: {'; '.join(NAMES)}; may be repeated"
    )
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="keep the figures in results.json and in docs/explanation/performance.md (default: whole runs only)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON to FILE as well")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a repetition")
    parser.add_argument("--repetitions", type=int, metavar="N", help="how many there are")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep, and judge."""
    args = build_parser().parse_args(argv)
    defaults = QUICK if args.quick else FULL
    seconds = args.seconds or defaults["seconds"]
    repetitions = args.repetitions or int(defaults["repetitions"])
    imports = int(args.repetitions or defaults["imports"])
    parts = args.only or PARTS
    cpus = Cpus.of_this_machine()
    results: dict[str, Any] = {"made": report.provenance(cpus, seconds=seconds, repetitions=repetitions)}
    try:
        if "import" in parts:
            _say(f"import: {imports} fresh interpreters of each kind")
            results["import"] = import_figures(import_costs(imports, cpus))
        with upstream(cpus) as provider:
            served = [part for part in PARTS if part in parts and part in ("requests", "streams")]
            if served:
                with running(args.target or NAMES, provider, cpus) as targets, cpus.pinned(cpus.load):
                    for part in served:
                        results[part] = _loaded(part, targets, seconds, repetitions)
            if "in-process" in parts:
                results["in-process"] = _in_process(provider, cpus, seconds / 2, repetitions)
    except (LoadError, ProcessError) as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 1
    judged = bars(results)
    print(report.markdown(results, judged))
    whole = not (args.quick or args.only or args.target or args.seconds or args.repetitions)
    if args.json:
        args.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if args.write or (args.write is None and whole):
        report.write(results, judged)
    return 1 if not args.no_bars and not all(bar.kept for bar in judged) else 0


def _loaded(part: str, targets: Sequence[Target], seconds: float, repetitions: int) -> Mapping[str, Any]:
    """Load every target in each repetition, in an order that chance makes anew, so that none always follows another."""
    order = list(targets)
    chance = random.Random(20)
    rounds = []
    gc.collect()
    gc.freeze()
    for repetition in range(repetitions):
        _say(f"{part}: repetition {repetition + 1} of {repetitions}")
        chance.shuffle(order)
        samples = {target.name: _sample(part, target, seconds) for target in order}
        rounds.append({target.name: samples[target.name] for target in targets})
    return load_figures(rounds, streams=part == "streams")


def _sample(part: str, target: Target, seconds: float) -> Sample:
    streams = part == "streams"
    process = target.process
    request = request_bytes(port=process.port, model=target.model, stream=streams)
    expected = b"".join(STREAM) if streams else ANSWER
    try:
        for length in (seconds * WARM_UP_SHARE, seconds):
            sample = asyncio.run(
                closed_loop(
                    process.port,
                    request,
                    expected,
                    seconds=length,
                    concurrency=CONCURRENCY,
                    cpu=process.cpu_seconds,
                )
            )
    except LoadError as failure:
        raise LoadError(f"{part} of {target.name}: {failure}") from failure
    return sample


def _in_process(provider: Process, cpus: Cpus, seconds: float, repetitions: int) -> Mapping[str, Any]:
    _say(f"in-process: {repetitions} repetitions")
    arguments = ["-m", "benchmarks.in_process", str(provider.port), str(seconds), str(repetitions)]
    with cpus.pinned(cpus.server):
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
    if result.returncode:
        raise ProcessError(f"the calls in process failed:\n{result.stderr[-2000:]}")
    figures: Mapping[str, Any] = json.loads(result.stdout)
    return figures


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
