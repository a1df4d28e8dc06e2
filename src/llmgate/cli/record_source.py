"""Where the commands find records: the first logger of the configuration that can be asked, and how they say which."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from llmgate.spec import DIMENSIONS, RecordReader

from .surroundings import find_dotenv

__all__ = ["add_config", "add_filters", "asked_of", "open_records"]

_HELP: Final = {
    "since": "only from then on: 7d (ago), today, 2027-01-31, 2027-01-31T12:00Z",
    "until": "only before then",
    "zone": "by whose clocks dates are meant, and hours and days begin, for example Europe/Berlin (default: UTC)",
    "property": "only with this property; may be repeated",
    "status": "only with this HTTP status, for example 429 or 5xx",
    "error": "only with this error code",
    "session": "only of this session",
    "prompt": "only with this prompt",
    "cache": "only where a cache said this: hit, stale, miss",
    "slower": "only what took this long or longer, for example 2s",
    "text": "only where this text stands anywhere in the record",
    "surface": "only what came through this door",
}


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: the one that `llmgate serve` would find here)",
    )


def add_filters(parser: argparse.ArgumentParser, *, since: str | None = None) -> None:
    """Add the options that say which records are meant.

    Args:
        parser: Where they are added.
        since: What ``--since`` is where it is left out.
    """
    for name, text in _HELP.items():
        extra = f" (default: {since})" if name == "since" and since else ""
        parser.add_argument(
            f"--{name}",
            action="append" if name == "property" else "store",
            default=since if name == "since" else None,
            metavar={"property": "NAME=VALUE", "since": "WHEN", "until": "WHEN"}.get(name, name.upper()),
            help=text + extra,
        )
    for name in DIMENSIONS:
        parser.add_argument(f"--{name}", metavar=name.upper(), help=f"only with this {name}")
    parser.add_argument(
        "--housekeeping",
        action="store_true",
        help="those too that ask the gateway about itself: models, health, records",
    )


def asked_of(args: argparse.Namespace, *more: str) -> Mapping[str, Sequence[str]]:
    """What the options ask, in the words of ``record_queries``."""
    asked: dict[str, Sequence[str]] = {}
    for name in (*_HELP, *DIMENSIONS, *more):
        value = getattr(args, name, None)
        if value is not None:
            asked[name] = [str(one) for one in value] if isinstance(value, list) else [str(value)]
    if args.housekeeping:
        asked["housekeeping"] = ["true"]
    return asked


@asynccontextmanager
async def open_records(config: Path | None) -> AsyncIterator[RecordReader]:
    """The records that gateways with a configuration keep.

    Args:
        config: The configuration's file; None for the one that ``llmgate serve`` would find here.

    Raises:
        ConfigError: none of its loggers can be asked.
    """
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.pipeline.backstage import Backstage
    from llmgate.pipeline.pipeline import Pipeline

    pipeline = Pipeline.from_config(config or find_file(Path()), dotenv=find_dotenv())
    async with Backstage(pipeline) as backstage:
        yield await backstage.open_records()
