"""``llmgate top``: what goes on right now, drawn anew every few seconds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from llmgate.spec import Histogram, RecordFilter, RecordQuery, RecordReader, Tally, UsageQuery, UsageReport, zone_named

from .record_source import add_config, open_records
from .record_words import Paint, coloured, length_of, line_of, money_of, safe
from .subparsers import Subparsers
from .table import format_table

__all__ = ["add_parser", "frame_of", "run"]

_HOME: Final = "\x1b[H"
_CLEAR: Final = "\x1b[J"
_CLEAR_LINE: Final = "\x1b[K"
_ENTER: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "top",
        help="watch what goes on: rates, models, latencies, the latest requests",
        description="Watch what gateways with a configuration do, drawn anew every few seconds; q ends it.",
    )
    parser.add_argument("--window", default="15m", metavar="TIME", help="how far back it looks (default: 15m)")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks (default: 2)")
    parser.add_argument(
        "--by", default="model", metavar="WHAT", help="by what, as for `llmgate usage` (default: model)"
    )
    parser.add_argument("--once", action="store_true", help="draw one frame and end")
    parser.add_argument("--zone", default="UTC", metavar="ZONE", help="by whose clocks (default: UTC)")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="whether to use colours")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Watch, until ``q`` or Ctrl-C."""
    # Late: see ``open_records``.
    from llmgate.pipeline.record_queries import usage_query

    asked: dict[str, Sequence[str]] = {"by": [args.by], "since": [args.window], "zone": [args.zone]}
    usage_query(asked, time.time())  # what is wrong is said before the screen is taken
    if args.once or not sys.stdout.isatty():
        return asyncio.run(_once(args, asked))
    with _screen():
        return asyncio.run(_watch(args, asked))


async def _once(args: argparse.Namespace, asked: dict[str, Sequence[str]]) -> int:
    async with open_records(args.config) as reader:
        for line in await _frame(args, asked, reader, shutil.get_terminal_size().lines):
            print(line)
    return 0


async def _watch(args: argparse.Namespace, asked: dict[str, Sequence[str]]) -> int:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def typed() -> None:
        keys = os.read(sys.stdin.fileno(), 64)
        if not keys or b"q" in keys or b"\x04" in keys:
            done.set()

    if sys.stdin.isatty():
        loop.add_reader(sys.stdin.fileno(), typed)
    try:
        async with open_records(args.config) as reader:
            while not done.is_set():
                lines = await _frame(args, asked, reader, shutil.get_terminal_size().lines)
                shown = f"{_CLEAR_LINE}\r\n".join(lines)
                sys.stdout.write(f"{_HOME}{shown}{_CLEAR_LINE}{_CLEAR}")
                sys.stdout.flush()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), max(0.2, args.every))
    finally:
        if sys.stdin.isatty():
            loop.remove_reader(sys.stdin.fileno())
    return 0


@contextlib.contextmanager
def _screen() -> Iterator[None]:
    """The whole terminal, keys as they are typed; as it was before when the block is left."""
    # Late: only where there is a terminal.
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin.fileno()) if sys.stdin.isatty() else None
    try:
        if before is not None:
            tty.setcbreak(sys.stdin.fileno())
        sys.stdout.write(_ENTER)
        yield
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        if before is not None:
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


async def _frame(
    args: argparse.Namespace, asked: dict[str, Sequence[str]], reader: RecordReader, height: int
) -> list[str]:
    # Late: see ``open_records``.
    from llmgate.pipeline.record_queries import usage_query

    now = time.time()
    query = usage_query(asked, now)
    report = await reader.usage(query)
    page = await reader.find_records(RecordQuery(RecordFilter(since=query.filter.since), limit=max(1, height)))
    paint, zone = coloured(args.color), zone_named(args.zone)
    latest = [line_of(one, paint, zone) for one in page.records]
    return list(frame_of(report, query, latest, paint, now=now, height=height, zone=zone))


def frame_of(
    report: UsageReport,
    query: UsageQuery,
    latest: Sequence[str],
    paint: Paint,
    *,
    now: float,
    height: int,
    zone: dt.tzinfo,
) -> Iterator[str]:
    """The lines of one frame.

    Args:
        report: What went on.
        query: What was asked.
        latest: The latest requests, a line each.
        paint: How it is coloured.
        now: Seconds since the epoch.
        height: Lines that there are.
        zone: By whose clocks.
    """
    total, span = report.total, max(1.0, now - (query.filter.since or now))
    errors = f"{100 * total.errors / total.requests:.1f} %" if total.requests else "-"
    durations = Histogram(total.durations)
    clock = dt.datetime.fromtimestamp(now, zone).strftime("%H:%M:%S")
    yield paint(f"llmgate top  {clock}  the last {span / 60:.0f} minutes  (q quits)", "bold")
    yield (
        f"requests {total.requests:,} ({total.requests / span:.2f}/s)  errors {errors}  "
        f"tokens {total.input_tokens:,}→{total.output_tokens:,}  cost {money_of(total.cost_nano, total.cost_unknown)}  "
        f"p50 {length_of(durations.percentile(0.5))}  p95 {length_of(durations.percentile(0.95))}  "
        f"p99 {length_of(durations.percentile(0.99))}"
    )
    yield ""
    room = max(4, height - 6)
    shown = report.rows[: max(1, room // 2)]
    head = (*(one.upper() for one in query.by), "REQUESTS", "ERRORS", "P50", "P95", "FIRST P95", "COST")
    rows = [(*(safe(one or "(none)", 40) for one in row.group), *_cells(row.tally)) for row in shown]
    table = format_table(head, rows).split("\n")
    yield paint(table[0], "dim")
    yield from table[1:]
    yield ""
    yield from latest[: max(1, room - len(table))]


def _cells(tally: Tally) -> Sequence[str]:
    durations, first = Histogram(tally.durations), Histogram(tally.first_contents)
    return (
        f"{tally.requests:,}",
        f"{100 * tally.errors / tally.requests:.1f} %" if tally.errors else "-",
        length_of(durations.percentile(0.5)),
        length_of(durations.percentile(0.95)),
        length_of(first.percentile(0.95)),
        money_of(tally.cost_nano, tally.cost_unknown),
    )
