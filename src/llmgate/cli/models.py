"""``llmgate models``: which models can be asked for, and what their providers say of them."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from .subparsers import Subparsers
from .surroundings import find_dotenv
from .table import format_table

if TYPE_CHECKING:
    from llmgate.pipeline.listed_prices import PriceChange
    from llmgate.pipeline.listing import ModelList
    from llmgate.pipeline.models import ModelEntry
    from llmgate.pipeline.pipeline import Pipeline
    from llmgate.spec import Provider

__all__ = ["add_parser", "run"]

DEFAULT_FILE: Final = "llmgate-models.json"


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "models",
        help="list the models that can be asked for, or ask the providers which they have",
        description="List the models that can be asked for with a configuration, or ask its providers which they have.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser(
        "list",
        help="list the models that can be asked for; nobody is called",
        description="List the models that can be asked for, with their sizes where their providers have told them.",
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    sync = actions.add_parser(
        "sync",
        help="ask every provider for the list of its models, and keep the lists in a file",
        description="Ask every configured provider whose key is there for the list of its models, and write the lists "
        "with their sources and dates to the file that `model-lists.file` names.",
    )
    sync.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where to write the lists (default: model-lists.file of the configuration, else {DEFAULT_FILE})",
    )
    mapping = actions.add_parser(
        "map",
        help="find prices for models that have none, and reckon what requests to them have cost",
        description="Ask every configured provider whose key is there for its list, as `sync` does, take the prices "
        "that it tells, and say which models have no price yet. Costs of recorded requests that were unknown for want "
        "of a price (`llmgate.mapping: pending`) are reckoned, and written where the loggers sql and clickhouse "
        "keep their records; with --records those of a file as well.",
    )
    mapping.add_argument(
        "--now", action="store_true", help="ask the providers now; without it the lists in the file are used"
    )
    mapping.add_argument("--records", type=Path, metavar="FILE", help="a file of records, one JSON object a line")
    mapping.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write the records anew (default: only count them)"
    )
    for action in (listing, sync, mapping):
        action.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="the configuration (default: the one that `llmgate serve` would find here)",
        )


def run(args: argparse.Namespace) -> int:
    """List the models, or ask the providers; 1 when one of them could not be asked."""
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.pipeline.pipeline import Pipeline

    pipeline = Pipeline.from_config(args.config or find_file(Path()), dotenv=find_dotenv())
    if args.action == "list":
        return asyncio.run(_list(pipeline, as_json=args.json))
    if args.action == "map":
        return asyncio.run(_map(pipeline, now=args.now, records=args.records, output=args.output))
    return asyncio.run(_sync(pipeline, args.output))


async def _list(pipeline: Pipeline, *, as_json: bool) -> int:
    async with pipeline:
        entries = await pipeline.models()
    if as_json:
        print(json.dumps([_described(entry) for entry in entries], indent=2))
        return 0
    rows = [(entry.id, *_sizes(entry), entry.mapping or "-") for entry in entries]
    print(format_table(("MODEL", "CONTEXT", "OUTPUT", "PRICE"), rows))
    return 0


async def _sync(pipeline: Pipeline, output: Path | None) -> int:
    # Late: see ``run``.
    from llmgate.pipeline.listing import lists_path, save_lists

    path = output or lists_path(pipeline.config) or Path(DEFAULT_FILE)
    async with pipeline:
        before = pipeline.model_lists
        lists, failed = await pipeline.sync_models()
    for name, reason in failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    if not lists:
        print("no provider gave a list of its models", file=sys.stderr)
        return 1
    save_lists(path, lists)
    rows = [(name, str(len(one.models)), *_changes(before.get(name), one)) for name, one in lists.items()]
    print(format_table(("PROVIDER", "MODELS", "NEW", "GONE"), rows))
    _print_changes(pipeline.price_changes)
    print(f"written to {path}")
    return 1 if failed else 0


async def _map(pipeline: Pipeline, *, now: bool, records: Path | None, output: Path | None) -> int:
    # Late: see ``run``.
    from llmgate.pipeline.listing import lists_path, save_lists
    from llmgate.pipeline.mapping import fill_costs

    status = 0
    async with pipeline:
        if now:
            lists, failed = await pipeline.sync_models()
            for name, reason in failed.items():
                print(f"{name}: {reason}", file=sys.stderr)
            path = lists_path(pipeline.config)
            if path is not None and lists:
                save_lists(path, lists)
            _print_changes(pipeline.price_changes)
            status = 1 if failed else 0
        pending = [entry.id for entry in await pipeline.models() if entry.mapping == "pending"]
        print(f"{len(pending)} models have no price")
        for name in pending:
            print(f"  {name}: pending")
        for logger, count in (await fill_costs(pipeline)).items():
            print(f"{logger}: {count} records have a cost now")
        if records is not None:
            _back_fill(records, output, pipeline.snapshot.providers)
    return status


def _back_fill(records: Path, output: Path | None, providers: Mapping[str, Provider]) -> None:
    """Reckon the costs of records that wait for a price; the file itself is never changed."""
    # Late: see ``run``.
    from llmgate.pipeline.repricing import repriced
    from llmgate.spec import Record

    filled = nano = 0
    with records.open(encoding="utf-8") as source, contextlib.ExitStack() as exits:
        target = None if output is None else exits.enter_context(output.open("x", encoding="utf-8"))
        for number, line in enumerate(source, 1):
            try:
                record = Record.from_json(json.loads(line))
            except ValueError as wrong:
                print(f"{records}:{number}: no record: {wrong}", file=sys.stderr)
                record = None
            new = None if record is None else repriced(record, providers)
            if new is not None:
                filled, nano = filled + 1, nano + (new.cost_nano or 0)
            if target is not None:
                target.write(line if new is None else json.dumps(new.as_json()) + "\n")
    print(f"{filled} records have a cost now, {nano / 10**9:.9f} USD together")


def _print_changes(changes: Sequence[PriceChange]) -> None:
    rows = [
        (f"{one.provider_name}/{one.model}", name, *("-" if pico is None else f"{pico / 10**6:g}" for pico in pair))
        for one in changes
        for name, pair in one.differences().items()
    ]
    if rows:
        print("prices, in USD for a million:")
        print(format_table(("MODEL", "OF", "BEFORE", "NOW"), rows))


def _described(entry: ModelEntry) -> Mapping[str, object]:
    said = {} if entry.listed is None else attrs.asdict(entry.listed)
    said.pop("id", None)
    said["rates"] = None  # `llmgate prices show` shows them, with those of others
    return {"id": entry.id, "owned_by": entry.owned_by} | {
        name: value for name, value in {**said, "mapping": entry.mapping}.items() if value is not None
    }


def _sizes(entry: ModelEntry) -> Sequence[str]:
    listed = entry.listed
    sizes = (None, None) if listed is None else (listed.context_window, listed.max_output)
    return [f"{one:,}" if one else "-" for one in sizes]


def _changes(before: ModelList | None, now: ModelList) -> Sequence[str]:
    """How many models are new and how many are gone since the lists were read before."""
    if before is None:
        return ("-", "-")
    old, new = {one.id for one in before.models}, {one.id for one in now.models}
    return (str(len(new - old)), str(len(old - new)))
