"""``llmgate schema``: the JSON Schema of the configuration, for editors and for other programs."""

from __future__ import annotations

import argparse
import json

from .subparsers import Subparsers

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    subparsers.add_parser(
        "schema",
        help="print the JSON Schema of the configuration",
        description="Print the JSON Schema of the configuration, installed plugins included.",
    )


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command has the same signature
    """Print the schema."""
    # Late: both import what `llmgate --help` does not need.
    from llmgate.config.json_schema import schema
    from llmgate.registry import Registry

    registry = Registry()
    print(json.dumps(schema(registry.find, registry.names), indent=2))
    return 0
