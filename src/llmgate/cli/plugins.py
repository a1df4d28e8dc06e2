"""``llmgate plugins``: every stage that is installed, where it comes from, and whether it can be imported."""

from __future__ import annotations

import argparse
import json

import attrs

from .subparsers import Subparsers
from .table import format_table

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "plugins",
        help="list the installed stages, with their health",
        description="List the installed stages: kind, id, distribution, version and health. "
        "Exit status 1 when one of them is broken.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the stages; 1 when one of them cannot be used."""
    # Late: imports every plugin, which no other command does.
    from llmgate.registry import Registry

    infos = Registry().info()
    if args.json:
        print(json.dumps([attrs.asdict(info) for info in infos], indent=2))
    else:
        rows = [(info.kind, info.id, info.distribution, info.version, info.health) for info in infos]
        print(format_table(("KIND", "ID", "DISTRIBUTION", "VERSION", "HEALTH"), rows))
    return 0 if all(info.health == "ok" for info in infos) else 1
