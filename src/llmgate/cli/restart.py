"""``llmgate restart``: has a running gateway put new workers in the place of the old ones; no request is dropped."""

from __future__ import annotations

import argparse

from .reload import add_options, tell
from .subparsers import Subparsers

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "restart",
        help="have a running gateway replace its workers, one by one",
        description="Have the gateway that was started with this configuration, on this machine and by this user, "
        "start new workers and let the old ones finish what they are busy with. A new one serves before an old one "
        "takes no more connections. It needs `llmgate serve` with two workers or more. Exit status: 0 all workers are "
        "new, 1 they are not, 2 no such gateway runs.",
    )
    add_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask every gateway that is meant, and print what each says."""
    return tell(args, "restart", "serves with new workers", "goes on with old workers")
