"""``llmgate keys new``: makes a key for a caller, shows it once, and the line for the configuration.

Plugins add more to the group: ``llmgate-store`` what looks after keys in a database.
"""

from __future__ import annotations

import argparse
import re

from .subparsers import Subparsers

__all__ = ["add_parser", "run"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def add_parser(subparsers: Subparsers) -> Subparsers:
    """Add the command to the command line; where plugins add theirs of the same group."""
    parser = subparsers.add_parser(
        "keys",
        help="make keys for callers",
        description="Make keys for callers; only a hash of a key goes into the configuration. The plugin llmgate-store "
        "adds create, list, show, rotate and revoke, for keys in a database.",
    )
    actions: Subparsers = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    new = actions.add_parser(
        "new",
        help="make a key",
        description="Make a key: it is shown once, with the lines to paste into the configuration.",
    )
    new.add_argument(
        "--name", type=_name, default="me", metavar="NAME", help="who the key is for, as records call it (default: me)"
    )
    return actions


def run(args: argparse.Namespace) -> int:
    """Make a key, print it and the lines to paste."""
    # Late: `llmgate --help` needs no stage.
    from llmgate.stages.auth.static_keys import new_key

    key, digest = new_key()
    print(f"key for {args.name} (shown once, hand it over safely):\n")
    print(f"  {key}\n")
    print("for llmgate.yaml:\n")
    print("auth:\n  - use: static-keys\n    keys:")
    print(f"      - {{name: '{args.name}', hash: '{digest}'}}")
    return 0


def _name(text: str) -> str:
    """A name that needs no escapes in YAML."""
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name: write up to 64 letters, digits and . _ @ -")
    return text
