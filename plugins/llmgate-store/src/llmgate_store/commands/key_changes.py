"""``llmgate keys create``, ``rotate`` and ``revoke``. A key itself is printed once, on standard output."""

from __future__ import annotations

import argparse
import getpass
import json

from llmgate.spec import CallerLimit, Command, CommandContext, ConfigError, SecretRef
from llmgate_store.keys.grant import UNITS, Grant, IssuedKey, KeyKind
from llmgate_store.keys.text import KeyText

from .moments import duration, moment_text, read_moment, written
from .opened import open_keys, public_id

__all__ = ["KEYS_SUMMARY", "KeysCreate", "KeysRevoke", "KeysRotate"]

KEYS_SUMMARY = "make keys for callers, and look after them"


class KeysCreate(Command):
    """``llmgate keys create``."""

    group, group_summary = "keys", KEYS_SUMMARY
    name, summary = "create", "make a key in the database"
    description = "Make a key in the database. It is shown once; what is kept is a hash."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """What the key is for."""
        parser.add_argument("--name", required=True, metavar="NAME", help="what people call the key")
        parser.add_argument("--owner", metavar="WHO", help="who has it: a person or a service (default: you)")
        parser.add_argument("--team", metavar="TEAM", help="the team that it belongs to")
        kinds = [kind.value for kind in KeyKind]
        parser.add_argument(
            "--kind", choices=kinds, default=kinds[0], metavar="KIND", help=f"{', '.join(kinds)} (default: {kinds[0]})"
        )
        parser.add_argument("--issued-by", metavar="WHO", help="who makes it (default: you)")
        parser.add_argument(
            "--model", action="append", metavar="PATTERN", help="a model that it may call, as openai/* (default: all)"
        )
        parser.add_argument(
            "--deny-model", action="append", default=[], metavar="PATTERN", help="a model that it may not call"
        )
        parser.add_argument(
            "--scope", action="append", metavar="OPERATION", help="what it may ask for, as chat (default: everything)"
        )
        parser.add_argument(
            "--address", action="append", metavar="NETWORK", help="where it may be used from (default: anywhere)"
        )
        parser.add_argument(
            "--provider-key",
            action="append",
            default=[],
            type=_provider_key,
            metavar="PROVIDER=REFERENCE",
            help="a provider's key that its requests go with, as openai=vault:team-a (default: the provider's own)",
        )
        parser.add_argument(
            "--limit",
            action="append",
            default=[],
            type=_limit,
            metavar="UNIT=N/TIME",
            help="a limit of its own: requests=100/1m, tokens=1000000/1d, concurrent=5 (default: none)",
        )
        parser.add_argument(
            "--expires", type=moment_text, metavar="TIME", help="when it ends: 30d, or 2027-01-31 (default: never)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Make it, and show it.

        Raises:
            ConfigError: what it is to be for makes no sense.
        """
        if args.limit and not any(one.own_limits for one, _ in context.configured("interceptors", "rate-limit")):
            raise ConfigError(
                "nothing would keep the limit: write `- {use: rate-limit, own-limits: true}` under interceptors"
            )
        async with open_keys(context) as keys:
            now = keys.context.clock.now()
            try:
                grant = Grant(
                    label=args.name,
                    owner=args.owner or getpass.getuser(),
                    issued_by=args.issued_by or getpass.getuser(),
                    kind=args.kind,
                    team=args.team,
                    scopes=args.scope,
                    models=args.model,
                    denied_models=args.deny_model,
                    addresses=args.address,
                    secrets=dict(args.provider_key),
                    limits=tuple(args.limit),
                    expires_at=None if args.expires is None else read_moment(args.expires, now),
                )
            except ValueError as wrong:
                raise ConfigError(str(wrong)) from None
            text, key = await keys.book.create(grant, await keys.peppers())
            await keys.tell()
        _show_once(text, key, now, as_json=args.json)
        return 0


class KeysRotate(Command):
    """``llmgate keys rotate``."""

    group, group_summary = "keys", KEYS_SUMMARY
    name, summary = "rotate", "make a key that replaces another"
    description = (
        "Make a key with the rights of another, which it replaces. For a while both work, and both spend from the same "
        "limits. The new one is shown once."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which key, and for how long both work."""
        parser.add_argument("key", type=public_id, metavar="KEY", help="the public part of the key to replace")
        parser.add_argument(
            "--overlap", type=duration, default=86400.0, metavar="TIME", help="how long both work (default: 24h)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Make it, and show it."""
        async with open_keys(context) as keys:
            now = keys.context.clock.now()
            text, key = await keys.book.rotate(args.key, await keys.peppers(), overlap=args.overlap)
            await keys.tell()
        _show_once(text, key, now, as_json=args.json)
        if not args.json:
            print(f"\nkey {args.key} works until {written(now + args.overlap)} UTC")
        return 0


class KeysRevoke(Command):
    """``llmgate keys revoke``."""

    group, group_summary = "keys", KEYS_SUMMARY
    name, summary = "revoke", "make a key work no longer"
    description = "Make a key work no longer, for ever. Every gateway refuses it within a second."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which key, and why."""
        parser.add_argument("key", type=public_id, metavar="KEY", help="the public part of the key")
        parser.add_argument("--reason", metavar="TEXT", help="why, for whoever looks later")
        parser.add_argument("--by", metavar="WHO", help="who revokes it (default: you)")
        parser.add_argument(
            "--family", action="store_true", help="revoke the keys that it replaced or that replace it, too"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Revoke it."""
        async with open_keys(context) as keys:
            by = args.by or getpass.getuser()
            revoked = await keys.book.revoke(args.key, by=by, reason=args.reason, family=args.family)
            await keys.tell()
        if args.json:
            print(json.dumps({"revoked": list(revoked)}, indent=2))
        else:
            print("\n".join(f"{one}: revoked" for one in revoked) or f"{args.key}: was revoked before")
        return 0


def _limit(text: str) -> CallerLimit:
    unit, _, rest = text.partition("=")
    number, slash, period = rest.partition("/")
    if unit not in UNITS or not number.isascii() or not number.isdigit() or len(number) > 13:
        raise argparse.ArgumentTypeError(
            f"{text[:64]!r} is no limit: write requests=100/1m, tokens=1000000/1d or concurrent=5"
        )
    return CallerLimit(int(number), duration(period) if slash else None, unit)


def _provider_key(text: str) -> tuple[str, str]:
    name, _, reference = text.partition("=")
    try:
        return name, str(SecretRef.parse(reference if name else ""))
    except ValueError:
        # Without the text: it may be the provider's key itself.
        raise argparse.ArgumentTypeError("write PROVIDER=STORE:PATH, as openai=vault:team-a") from None


def _show_once(text: KeyText, key: IssuedKey, now: float, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"key": text.text, **key.described(now)}, indent=2))
        return
    print(f"key {key.public_id} for {key.grant.label} (shown once, hand it over safely):\n")
    print(f"  {text.text}")
