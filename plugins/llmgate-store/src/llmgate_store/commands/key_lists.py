"""``llmgate keys list`` and ``show``: what is kept of keys, for people and for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from llmgate.spec import Command, CommandContext
from llmgate_store.keys.grant import IssuedKey

from .key_changes import KEYS_SUMMARY
from .moments import written
from .opened import open_keys, public_id

__all__ = ["KeysList", "KeysShow"]

_TIMES = ("expires_at", "created_at", "ends_at", "revoked_at", "last_used_at")


class KeysList(Command):
    """``llmgate keys list``."""

    group, group_summary = "keys", KEYS_SUMMARY
    name, summary = "list", "list the keys in the database"
    description = "List the keys in the database that work, the youngest first."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which keys."""
        parser.add_argument("--owner", metavar="WHO", help="only the keys of this owner")
        parser.add_argument("--team", metavar="TEAM", help="only the keys of this team")
        parser.add_argument("--all", action="store_true", help="those too that work no longer")
        parser.add_argument("--limit", type=int, default=1000, metavar="N", help="how many at most (default: 1000)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """List them."""
        async with open_keys(context) as keys:
            now = keys.context.clock.now()
            found = await keys.book.list(owner=args.owner, team=args.team, all_states=args.all, limit=args.limit)
        if args.json:
            print(json.dumps([key.described(now) for key in found], indent=2))
        else:
            head = ("KEY", "NAME", "OWNER", "TEAM", "KIND", "STATE", "EXPIRES", "LAST USED")
            context.print_table(head, [_row(key, now) for key in found])
        return 0


class KeysShow(Command):
    """``llmgate keys show``."""

    group, group_summary = "keys", KEYS_SUMMARY
    name, summary = "show", "show what is kept of a key"
    description = "Show what is kept of a key in the database: everything but the key itself, which nobody has."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which key."""
        parser.add_argument("key", type=public_id, metavar="KEY", help="the public part of the key")
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Show it; 1 when there is no such key."""
        async with open_keys(context) as keys:
            now = keys.context.clock.now()
            key = await keys.book.find(args.key)
        if key is None:
            print(f"there is no key {args.key}: see `llmgate keys list --all`")
            return 1
        described = key.described(now)
        if args.json:
            print(json.dumps(described, indent=2))
        else:
            rows = [(name.replace("_", " "), _said(name, value)) for name, value in described.items()]
            context.print_table(("KEY", args.key), rows)
        return 0


def _row(key: IssuedKey, now: float) -> Sequence[str]:
    grant = key.grant
    expires = min((one for one in (grant.expires_at, key.ends_at) if one is not None), default=None)
    return (
        key.public_id,
        grant.label,
        grant.owner,
        grant.team or "-",
        grant.kind.value,
        key.state(now).value,
        written(expires),
        written(key.last_used_at),
    )


def _said(name: str, value: Any) -> str:
    if name in _TIMES:
        return written(value)
    if value is None:
        return "-"
    if name == "limits":
        value = [
            f"{one['unit']}={one['capacity']}" + (f"/{one['period']:g}s" if one["period"] else "") for one in value
        ]
    if isinstance(value, dict):
        value = [f"{key}={one}" for key, one in value.items()]
    return ", ".join(value) or "-" if isinstance(value, list | tuple) else str(value)
