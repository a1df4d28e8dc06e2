"""``python -m benchmarks``: measures everything as ratios in one run, on loopback, bounded in count and time."""

from __future__ import annotations

import argparse
import gc
import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks import report
from benchmarks.configurations import EVERYTHING, LLMGATE
from benchmarks.figures import Bar, bars, import_figures, load_figures
from benchmarks.growth import SIZES
from benchmarks.imports import import_costs
from benchmarks.load import LoadError, Sample, closed_loop
from benchmarks.loops import run
from benchmarks.paced import Pace, paced_figures
from benchmarks.processes import ROOT, Cpus, Process, ProcessError
from benchmarks.rates import rate_figures
from benchmarks.slow_readers import slow_reader_figures
from benchmarks.targets import BARE, DIRECT, NAMES, Target, absent, environment, running, upstream
from benchmarks.workers import worker_figures

CONCURRENCY: Final = 16
APART: Final = ("rates", "paced", "slow-readers", "growth", "workers", "in-process", "formats")
"""The parts that start what they measure themselves."""
PARTS: Final = ("import", "requests", "streams", *APART)

PACED_EVENTS: Final = 12
"""Timed events of each paced stream."""
FORMAT_REPETITIONS: Final = 6
"""Repetitions of what is timed without any load for each of the others: they are short."""
RATED: Final = (DIRECT, BARE, LLMGATE, EVERYTHING)
"""What is asked at a steady rate."""


@attrs.frozen
class Extent:
    """How much is measured.

    Args:
        seconds: Length of a repetition.
        repetitions: How many there are.
        imports: Fresh interpreters for each import.
        streams: Paced streams at once.
        interval: Milliseconds between two events of each.
        readers: Clients that stop reading.
        sizes: How many models, keys and routers there are where their number is what counts.
    """

    seconds: float
    repetitions: int
    imports: int
    streams: int
    interval: int
    readers: int
    sizes: Sequence[int] = SIZES


FULL: Final = Extent(seconds=1.0, repetitions=8, imports=25, streams=1000, interval=1000, readers=200)
QUICK: Final = Extent(seconds=0.8, repetitions=4, imports=9, streams=200, interval=500, readers=50)
WARM_UP_SHARE: Final = 0.15
"""Share of a round's time that each target is loaded before it, so that every round finds warm caches."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure llmgate against a bare pass-through, as ratios in one run (about 10 minutes).",
        epilog="Exit status: 0 every bar is kept, 1 one is missed or a target fails, 2 the command line is wrong.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="about 4 minutes: fewer and shorter repetitions, fewer streams"
    )
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
    parser.add_argument("--streams", type=int, metavar="N", help="paced streams at once")
    parser.add_argument(
        "--size", action="append", type=int, metavar="N", help="models, keys and routers; repeat it from few to many"
    )
    parser.add_argument("--readers", type=int, metavar="N", help="clients that stop reading in mid-stream")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, keep, and judge."""
    args = build_parser().parse_args(argv)
    extent = _extent(args)
    parts, names = args.only or PARTS, args.target or NAMES
    cpus = Cpus.of_this_machine()
    made = report.provenance(cpus, seconds=extent.seconds, repetitions=extent.repetitions)
    results: dict[str, Any] = {"made": made}
    try:
        for name in names:
            if reason := absent(name):
                say(f"{name}: SKIPPED, {reason}")
        with upstream(cpus) as provider:
            together = [part for part in ("requests", "streams") if part in parts]
            if "import" in parts:
                say(f"import: {extent.imports} fresh interpreters of each kind")
                results["import"] = import_figures(import_costs(extent.imports, cpus))
            if together:
                with running(names, provider, cpus) as targets, cpus.pinned(cpus.load):
                    for part in together:
                        results[part] = loaded(part, targets, extent.seconds, extent.repetitions)
            for part in APART:
                if part in parts:
                    results |= _measured(part, names, provider, cpus, extent)
    except (LoadError, ProcessError) as failure:
        print(f"benchmarks: {failure}", file=sys.stderr)
        return 1
    judged = bars(results)
    print(report.markdown(results, judged))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    whole = extent == FULL and not (args.only or args.target)
    if args.write or (args.write is None and whole):
        report.write(results, judged)
    return _verdict(judged, enforced=not args.no_bars)


def _extent(args: argparse.Namespace) -> Extent:
    given = {name: getattr(args, name) for name in ("seconds", "repetitions", "streams", "readers")}
    extent = attrs.evolve(QUICK if args.quick else FULL, **{name: value for name, value in given.items() if value})
    if args.repetitions:
        extent = attrs.evolve(extent, imports=args.repetitions)
    if args.size:
        extent = attrs.evolve(extent, sizes=args.size)
    return attrs.evolve(extent, interval=min(extent.interval, int(extent.seconds * 1e3))) if args.seconds else extent


def _verdict(judged: Sequence[Bar], *, enforced: bool) -> int:
    """Say in a line whether all bars are kept; the exit status."""
    missed = [bar.what for bar in judged if not bar.kept]
    if missed:
        print(f"MISSED {len(missed)} of {len(judged)} bars: {'; '.join(missed)}")
    else:
        print(f"all {len(judged)} bars kept")
    return 1 if missed and enforced else 0


def _measured(part: str, names: Sequence[str], provider: Process, cpus: Cpus, extent: Extent) -> Mapping[str, Any]:
    """The figures of one part, by the name under which they are kept."""
    if part == "in-process":
        say(f"in-process: {extent.repetitions} repetitions")
        arguments = [provider.port, extent.seconds / 2, extent.repetitions]
        return {part: _program("benchmarks.in_process", arguments, cpus)}
    if part == "formats":
        repetitions = extent.repetitions * FORMAT_REPETITIONS
        say(f"formats: {repetitions} repetitions")
        return _program("benchmarks.translation", [repetitions], cpus)
    if part == "growth":
        say("growth: models, keys and routers")
        return {part: _program("benchmarks.growth", [extent.seconds / 4, _few(extent), *extent.sizes], cpus)}
    if part == "workers":
        say("workers: one and two")
        return {part: worker_figures(provider, extent.seconds, _few(extent))}
    # Servers that have served nothing yet: what they had used before would hide what they use now.
    taking_part = {"rates": RATED, "paced": (DIRECT, BARE, LLMGATE), "slow-readers": (LLMGATE,)}[part]
    with running([n for n in names if n in taking_part], provider, cpus) as targets, cpus.pinned(cpus.load):
        if part == "rates":
            say("rates: requests that come when they come")
            return {part: rate_figures(targets, extent.seconds * 2, _few(extent))}
        return {part: _paced(targets, extent) if part == "paced" else _slow(targets, extent)}


def _few(extent: Extent) -> int:
    """Repetitions of what takes longer than others."""
    return max(1, extent.repetitions // 2)


def _paced(targets: Sequence[Target], extent: Extent) -> Mapping[str, Any]:
    figures: dict[str, Any] = {}
    for target in targets:
        say(f"paced: {extent.streams} streams of {target.name}")
        pace = Pace(extent.streams, PACED_EVENTS, extent.interval)
        figures[target.name] = paced_figures(target, pace, figures.get(DIRECT))
    return figures


def _slow(targets: Sequence[Target], extent: Extent) -> Mapping[str, Any]:
    figures = {}
    for target in targets:
        say(f"slow-readers: {extent.readers} clients of {target.name} that stop reading")
        figures[target.name] = slow_reader_figures(target, extent.readers, steady=extent.seconds)
    return figures


def loaded(part: str, targets: Sequence[Target], seconds: float, repetitions: int) -> Mapping[str, Any]:
    """Load every target in each repetition, in an order that chance makes anew, so that none always follows another."""
    order = list(targets)
    chance = random.Random(20)
    rounds = []
    gc.collect()
    gc.freeze()
    for repetition in range(repetitions):
        say(f"{part}: repetition {repetition + 1} of {repetitions}")
        chance.shuffle(order)
        samples = {target.name: _sample(part, target, seconds) for target in order}
        rounds.append({target.name: samples[target.name] for target in targets})
    figures = load_figures(rounds, streams=part == "streams")
    for target in targets:
        if target.process.start and target.name != DIRECT:
            figures[target.name]["start_s"] = target.process.start
    return figures


def _sample(part: str, target: Target, seconds: float) -> Sample:
    streams = part == "streams"
    process = target.process
    try:
        for length in (seconds * WARM_UP_SHARE, seconds):
            sample = run(
                closed_loop(
                    process.port,
                    target.request(stream=streams),
                    target.expects(stream=streams),
                    seconds=length,
                    concurrency=CONCURRENCY,
                    changing=target.rewrites,
                    cpu=process.cpu_seconds,
                )
            )
    except LoadError as failure:
        raise LoadError(f"{part} of {target.name}: {failure}") from failure
    return attrs.evolve(sample, memory=process.proportional_bytes() or process.resident_bytes())


def _program(module: str, arguments: Sequence[object], cpus: Cpus) -> Mapping[str, Any]:
    """What a module of this package prints that is run as a program, in the server's place."""
    with cpus.pinned(cpus.server):
        result = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
    if result.returncode:
        raise ProcessError(f"{module} failed:\n{result.stderr[-2000:]}")
    figures: Mapping[str, Any] = json.loads(result.stdout)
    return figures


def say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
