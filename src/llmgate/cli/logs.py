"""``llmgate logs``: the records that gateways keep, the latest or as they come."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from llmgate.spec import Record, RecordReader, zone_named

from .record_source import add_config, add_filters, asked_of, open_records
from .record_words import Paint, coloured, line_of
from .subparsers import Subparsers

__all__ = ["add_parser", "run"]

POLL: Final = 1.0
"""Seconds between two looks for new records."""
LATE: Final = 1200.0
"""Seconds for which an exchange may last and still be seen by ``--follow``: it is recorded when it ends."""
_PAGE: Final = 500


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "logs",
        help="show the records of requests, the latest or as they come",
        description="Show the records that gateways with a configuration keep, the latest last. They are read where "
        "the first logger that can be asked keeps them: sql, or json-lines with a path.",
    )
    parser.add_argument("-n", "--limit", type=int, default=50, metavar="N", help="how many at most (default: 50)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with those that come, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print each as one line of JSON")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="whether to use colours")
    add_filters(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Show them."""
    return asyncio.run(_logs(args))


async def _logs(args: argparse.Namespace) -> int:
    # Late: see ``open_records``.
    from llmgate.pipeline.record_queries import record_query

    asked = dict(asked_of(args))
    paint, zone = coloured(args.color), args.zone or "UTC"
    async with open_records(args.config) as reader:
        shown = await _latest(reader, asked, args.limit)
        for record in reversed(shown):
            _show(record, paint, zone, as_json=args.json)
        seen = {record.id for record in shown}
        begun = time.time()
        while args.follow:
            await asyncio.sleep(POLL)
            query = record_query({**asked, "limit": [str(_PAGE)]}, time.time())
            since = max(query.filter.since or 0.0, time.time() - LATE, begun - LATE)
            page = await reader.find_records(attrs.evolve(query, filter=attrs.evolve(query.filter, since=since)))
            for record in reversed(page.records):
                # What ended before the command began was not asked for.
                if record.id not in seen and record.started_at + record.duration >= begun - POLL:
                    _show(record, paint, zone, as_json=args.json)
            seen = {record.id for record in page.records} | (seen if len(seen) < 10 * _PAGE else set())
    return 0


async def _latest(reader: RecordReader, asked: Mapping[str, Sequence[str]], limit: int) -> list[Record]:
    """The latest records, page after page."""
    # Late: see ``open_records``.
    from llmgate.pipeline.record_queries import next_cursor, record_query

    found: list[Record] = []
    cursor: dict[str, Sequence[str]] = {}
    while len(found) < limit:
        size = str(min(_PAGE, limit - len(found)))
        page = await reader.find_records(record_query({**asked, **cursor, "limit": [size]}, time.time()))
        found += page.records
        if not page.more or not page.records:
            break
        cursor = {"cursor": [next_cursor(page.records[-1].started_at, page.records[-1].id)]}
    return found


def _show(record: Record, paint: Paint, zone: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(record.as_json()), flush=True)
    else:
        print(line_of(record, paint, zone_named(zone)), flush=True)
