"""``llmgate secrets check``: says which secret references lead somewhere, and never what is there."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import attrs

from .subparsers import Subparsers
from .surroundings import find_dotenv
from .table import format_table

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "secrets",
        help="say which secrets are there",
        description="Look for the secrets that a configuration refers to; none is ever shown.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser(
        "check",
        help="say which references lead to a secret",
        description="Open the secret stores of a configuration, look for every secret that it refers to, and say which "
        "are there and who needs them. No secret is shown and no provider is called. Exit status 1 if one is missing.",
    )
    check.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the configuration (default: the one that `llmgate serve` would find here, else the environment alone)",
    )
    check.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look for every secret; 0 when all are there, 1 when not."""
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.pipeline.pipeline import Pipeline

    pipeline = Pipeline.from_config(args.file or find_file(Path()), dotenv=find_dotenv())
    found = asyncio.run(pipeline.check_secrets())
    missing = [one for one in found if not one.found]
    if args.json:
        print(json.dumps([attrs.asdict(one) for one in found], indent=2))
        return 1 if missing else 0
    rows = [
        (one.reference, "found" if one.found else "missing", one.version or "-", ", ".join(one.used_by))
        for one in found
    ]
    print(format_table(("REFERENCE", "STATUS", "VERSION", "USED BY"), rows) if rows else "no secret is referred to")
    for one in missing:
        print(one.problem, file=sys.stderr)
    return 1 if missing else 0
