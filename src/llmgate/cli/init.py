"""``llmgate init``: writes a first configuration for the providers whose keys are set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .subparsers import Subparsers
from .surroundings import key_variable, read_environment

__all__ = ["add_parser", "compose", "run"]

_HEAD = """\
# llmgate.yaml, written by `llmgate init`.
# `llmgate check` says what is wrong with it, `llmgate serve` runs it, `llmgate schema` prints its JSON Schema.
"""

_AUTH = """
# Who may call. Without this the gateway listens on loopback only; `llmgate keys new` prints a key and these lines.
# auth:
#   - use: static-keys
#     keys:
#       - {name: me, hash: "sha256:..."}
"""

_LOGGERS = """
# What is recorded of each request: one line of JSON each.
# loggers:
#   - use: json-lines
#     path: requests.jsonl
"""


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "init",
        help="write a first llmgate.yaml",
        description="Write a commented configuration for the providers whose keys are set; never overwrites a file.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("llmgate.yaml"),
        metavar="FILE",
        help="where to write it (default: llmgate.yaml)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the file, or say why not."""
    # Late: the catalogue is data that `llmgate --help` does not need.
    from llmgate.catalogue import provider_rows

    environment = read_environment()
    usable = {
        row.name: variable
        for row in provider_rows().values()
        if (variable := key_variable(row, environment)) is not None
    }
    try:
        with args.file.open("x", encoding="utf-8") as file:
            file.write(compose(usable))
    except FileExistsError:
        print(f"{args.file}: exists already, and is left as it is; name another file", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{args.file}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    names = ", ".join(usable) or "echo, since no provider's key is set"
    print(f"{args.file}: written, with {names}")
    print("next: llmgate check && llmgate serve")
    return 0


def compose(usable: Mapping[str, str]) -> str:
    """The text of the file.

    Args:
        usable: Providers by name, each with the variable that holds its key; none means ``echo``.
    """
    width = max((len(name) for name in usable), default=0)
    if usable:
        members: Sequence[str] = [
            f"          - {name.ljust(width)}  # uses {variable}" for name, variable in usable.items()
        ]
    else:
        members = ["          - echo  # built in, answers by itself; name real providers here once their keys are set"]
    router = [
        "",
        "# A router spreads requests over providers and falls back from one to the next.",
        "# It is called at /router/main/chat/completions; /ai/chat/completions reaches every provider by its name.",
        "routers:",
        "  main:",
        "    load-balance:",
        "      chat:",
        "        strategy: latency  # the quickest first; or: weighted, priority",
        "        providers:",
        *members,
    ]
    return _HEAD + "\n".join(router) + "\n" + _AUTH + _LOGGERS
