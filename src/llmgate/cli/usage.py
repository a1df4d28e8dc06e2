"""``llmgate usage``: what requests add up to, as a table, as CSV, as JSON, or drawn in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from llmgate.spec import Histogram, Tally, UsageQuery, UsageReport

from .record_source import add_config, add_filters, asked_of, open_records
from .record_words import length_of, money_of, safe
from .subparsers import Subparsers
from .table import format_table

__all__ = ["add_parser", "bars_of", "run", "table_of"]

_BAR: Final = 40
"""Columns of the longest bar."""
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
_NONE: Final = "(none)"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "usage",
        help="add up requests, tokens and cost by model, user, key and more",
        description="Add up the requests that gateways with a configuration have recorded, their tokens, cost and "
        "latencies, by model, provider, credential, principal, key, team, user, client, router, operation, outcome, "
        "property:NAME, and by hour, day or month.",
    )
    parser.add_argument("--by", default="model", metavar="WHAT", help="by what, parted by commas (default: model)")
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="groups at most (default: 1000)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true", help="print CSV")
    shape.add_argument("--json", action="store_true", help="print JSON")
    shape.add_argument("--plot", choices=("cost", "requests", "tokens"), nargs="?", const="cost", help="draw bars")
    add_filters(parser, since="7d")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Add it up."""
    # Late: see ``open_records``.
    from llmgate.pipeline.record_queries import usage_query

    query = usage_query(asked_of(args, "by", "limit"), time.time())
    report = asyncio.run(_ask(args, query))
    if args.json:
        rows = [{**dict(zip(query.by, row.group, strict=True)), **row.tally.as_json()} for row in report.rows]
        print(json.dumps({"by": query.by, "rows": rows, "total": report.total.as_json()}, indent=2))
    elif args.csv:
        _write_csv(report, query.by)
    elif args.plot:
        for line in bars_of(report, args.plot):
            print(line)
    else:
        print(table_of(report, query.by))
        if report.left_out:
            print(f"and {report.left_out} more: see --limit")
    return 0


async def _ask(args: argparse.Namespace, query: UsageQuery) -> UsageReport:
    async with open_records(args.config) as reader:
        return await reader.usage(query)


def table_of(report: UsageReport, by: Sequence[str]) -> str:
    """The report in columns, with the total below."""
    head = (*(one.upper() for one in by), "REQUESTS", "ERRORS", "INPUT", "OUTPUT", "COST", "P50", "P95", "FIRST P95")
    rows = [(*(safe(one or _NONE, 60) for one in row.group), *_cells(row.tally)) for row in report.rows]
    blank = ("total", *[""] * (len(by) - 1)) if by else ()
    return format_table(head, [*rows, (*blank, *_cells(report.total))] if by else [_cells(report.total)])


def _cells(tally: Tally) -> Sequence[str]:
    durations, first = Histogram(tally.durations), Histogram(tally.first_contents)
    return (
        f"{tally.requests:,}",
        f"{tally.errors:,}" if tally.errors else "-",
        f"{tally.input_tokens:,}",
        f"{tally.output_tokens:,}",
        money_of(tally.cost_nano, tally.cost_unknown),
        length_of(durations.percentile(0.5)),
        length_of(durations.percentile(0.95)),
        length_of(first.percentile(0.95)),
    )


def _write_csv(report: UsageReport, by: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [
        "requests",
        "errors",
        "cache_hits",
        "input_tokens",
        "output_tokens",
        "cache_read",
        "cache_write",
        "reasoning",
    ]
    writer.writerow([*by, *names, "cost_usd", "cost_unknown", "p50_seconds", "p95_seconds", "p99_seconds"])
    for row in report.rows:
        shown = row.tally.as_json()
        times = [shown["duration_seconds"][one] for one in ("p50", "p95", "p99")]
        cells = [_cell(one or "") for one in row.group]
        writer.writerow([*cells, *(shown[one] for one in names), shown["cost_usd"], shown["cost_unknown"], *times])


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: callers choose their names."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def bars_of(report: UsageReport, what: str) -> Iterator[str]:
    """The report as bars.

    Args:
        report: What is drawn.
        what: ``cost``, ``requests`` or ``tokens``.
    """
    labels = [" ".join(safe(one or _NONE, 40) for one in row.group) or "total" for row in report.rows]
    values = [_value(row.tally, what) for row in report.rows]
    widest, most = max(map(len, labels), default=0), max(values, default=0)
    for label, value, row in zip(labels, values, report.rows, strict=True):
        told = money_of(row.tally.cost_nano, row.tally.cost_unknown) if what == "cost" else f"{value:,}"
        yield f"{label.ljust(widest)}  {_bar(value, most)}  {told}".rstrip()


def _value(tally: Tally, what: str) -> int:
    if what == "cost":
        return max(0, tally.cost_nano)
    return tally.requests if what == "requests" else tally.input_tokens + tally.output_tokens


def _bar(value: int, most: int) -> str:
    eighths = value * _BAR * 8 // most if most else 0
    whole, rest = divmod(eighths, 8)
    bar = _EIGHTHS[8] * whole + (_EIGHTHS[rest] if rest else "")
    return (bar or (_EIGHTHS[1] if value else "")).ljust(_BAR)
