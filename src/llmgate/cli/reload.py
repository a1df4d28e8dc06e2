"""``llmgate reload``: has the gateway that runs with a configuration read it again, and says what is wrong with it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from .subparsers import Subparsers

__all__ = ["add_options", "add_parser", "run", "tell"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "reload",
        help="have a running gateway read its configuration again",
        description="Have the gateway that was started with this configuration, on this machine and by this user, read "
        "it again. When anything is wrong, it says what, and the old configuration stays in force. Exit status: 0 the "
        "new one is in force, 1 it is not, 2 no such gateway runs.",
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which running gateway is meant."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (default: the one that `llmgate serve` would find here)",
    )
    parser.add_argument(
        "--pid", type=int, metavar="NUMBER", help="only the gateway of that process, where several run with the file"
    )


def run(args: argparse.Namespace) -> int:
    """Ask every gateway that is meant, and print what each says."""
    return tell(args, "reload", "serves by the new configuration", "goes on with the old configuration")


def tell(args: argparse.Namespace, what: str, done: str, refused: str) -> int:
    """Tell every gateway that is meant to do something, and print what each says.

    Args:
        args: Which are meant.
        what: ``reload`` or ``restart``.
        done: What is said of a process that has done it.
        refused: What is said of one that has not, behind its reasons.

    Returns:
        0 when all have done it, 1 when one has not, 2 when there is none.
    """
    # Late: `llmgate --help` needs neither.
    from llmgate.config import find_file

    from .control import ask, find_gateways

    config = args.config or find_file(Path())
    status = 2
    try:
        for process, path in find_gateways(config).items():
            if args.pid not in (None, process):
                continue
            problems = asyncio.run(ask(path, what))
            if problems is None:
                continue
            for problem in problems:
                print(problem, file=sys.stderr)
            if problems:
                print(f"llmgate: process {process} {refused}", file=sys.stderr)
            else:
                print(f"process {process} {done}")
            status = max(status % 2, int(bool(problems)))
    except OSError as failure:
        print(f"llmgate: {failure}", file=sys.stderr)
        return 1
    if status == 2:
        where = "the variables here" if config is None else str(config)
        print(f"llmgate: no gateway of this user runs with {where}: name its file with --config", file=sys.stderr)
    return status
