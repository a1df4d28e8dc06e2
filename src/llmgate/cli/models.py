"""``llmgate models``: which models can be asked for, and what their providers say of them."""

from __future__ import annotations

import argparse
import asyncio
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
    from llmgate.pipeline.listing import ModelList
    from llmgate.pipeline.models import ModelEntry
    from llmgate.pipeline.pipeline import Pipeline

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
    for action in (listing, sync):
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
    return asyncio.run(_sync(pipeline, args.output))


async def _list(pipeline: Pipeline, *, as_json: bool) -> int:
    async with pipeline:
        entries = await pipeline.models()
    if as_json:
        print(json.dumps([_described(entry) for entry in entries], indent=2))
        return 0
    rows = [(entry.id, *_sizes(entry)) for entry in entries]
    print(format_table(("MODEL", "CONTEXT", "OUTPUT"), rows))
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
    print(f"written to {path}")
    return 1 if failed else 0


def _described(entry: ModelEntry) -> Mapping[str, object]:
    said = {} if entry.listed is None else attrs.asdict(entry.listed)
    said.pop("id", None)
    return {"id": entry.id, "owned_by": entry.owned_by} | {
        name: value for name, value in said.items() if value is not None
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
