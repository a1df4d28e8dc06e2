"""``llmgate show ID``: one exchange as a tree: who asked, each step with its verdict, each attempt, tokens and cost."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from llmgate.spec import AttemptRecord, Content, KeptRecord, Record, Usage, zone_named

from .record_source import add_config, open_records
from .record_words import Paint, coloured, head_of, length_of, money_of, safe
from .subparsers import Subparsers

__all__ = ["add_parser", "run", "tree_of"]

_LONGEST: Final = 20_000
"""Characters of a content that are shown."""

Node = tuple[str, Sequence["Node"]]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "show",
        help="show one request with everything that happened to it",
        description="Show one request as a tree: who asked, each step with its verdict and its time, each attempt, "
        "tokens and cost, and what is thought of it.",
    )
    parser.add_argument("id", metavar="ID", help="the id of the request (header helicone-id), or a beginning of it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--content", action="store_true", help="show what was asked and answered, where that is kept")
    parser.add_argument("--zone", default="UTC", metavar="ZONE", help="by whose clocks (default: UTC)")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="whether to use colours")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Show it; 1 when there is no such request."""
    try:
        zone = zone_named(args.zone)
    except ValueError as wrong:
        print(f"llmgate: --zone: {wrong}", file=sys.stderr)
        return 2
    kept = asyncio.run(_read(args))
    if kept is None:
        print(f"there is no record {safe(args.id, 64)}: see `llmgate logs`", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(kept.as_json(), indent=2))
        return 0
    for line in tree_of(kept, coloured(args.color), zone):
        print(line)
    content = kept.record.content
    if args.content and content is not None:
        for name, side in (("request", content.request), ("response", content.response)):
            if side is not None:
                print(f"\n--- {name}: {_content(side)}")
                print(_readable(side.text or ""))
    return 0


async def _read(args: argparse.Namespace) -> KeptRecord | None:
    async with open_records(args.config) as reader:
        return await reader.read_record(args.id)


def tree_of(kept: KeptRecord, paint: Paint, zone: dt.tzinfo) -> Iterator[str]:
    """The lines of the tree.

    Args:
        kept: What is shown.
        paint: How it is coloured.
        zone: By whose clocks.
    """
    record = kept.record
    colour = "green" if record.outcome == "ok" else "red"
    verdict = paint(f"{record.outcome} {record.status or '-'}", colour, "bold")
    yield f"{paint(safe(record.id, 64), 'bold')}  {verdict}  {length_of(record.duration)}  {money_of(record.cost_nano)}"
    branches: list[tuple[str, Sequence[Node]]] = [
        ("asked", _asked(record, zone)),
        ("stages", _steps(record, paint)),
        ("attempts", [_attempt(number, one, paint) for number, one in enumerate(record.attempts)]),
        ("answered", _answered(record, paint)),
        ("feedback", _opinions(kept)),
    ]
    yield from _drawn([(paint(name, "cyan"), below) for name, below in branches if below], "")


def _drawn(nodes: Sequence[Node], before: str) -> Iterator[str]:
    for number, (text, below) in enumerate(nodes):
        last = number + 1 == len(nodes)
        yield f"{before}{'└─ ' if last else '├─ '}{text}"
        yield from _drawn(below, before + ("   " if last else "│  "))


def _leaves(pairs: Sequence[tuple[str, object]]) -> list[Node]:
    return [(f"{name}: {safe(value)}", ()) for name, value in pairs if value not in (None, "", ())]


def _asked(record: Record, zone: dt.tzinfo) -> list[Node]:
    who = record.principal and f"{record.principal} ({record.principal_issuer})"
    leaves = _leaves(
        [
            ("when", head_of(record.started_at, zone)),
            ("what", f"{record.operation}{' (stream)' if record.stream else ''} by {record.surface}"),
            ("model", record.request_model),
            ("router", record.router),
            ("caller", who),
            ("key", record.key_id),
            ("team", record.team),
            ("user", record.user),
            ("client", record.user_agent),
            ("address", record.client_address),
            ("session", record.session_id),
            ("path", record.session_path),
            ("prompt", record.prompt_id),
            ("request id", record.client_request_id),
            ("trace", record.trace and record.trace.trace_id),
        ]
    )
    leaves += [(f"property {safe(name)}: {safe(value)}", ()) for name, value in record.properties.items()]
    return leaves + [(f"label {safe(name)}: {safe(value)}", ()) for name, value in record.metadata.items()]


def _steps(record: Record, paint: Paint) -> list[Node]:
    return [(_stage(one.stage, one.verdict, one.microseconds, paint), ()) for one in record.stages]


def _opinions(kept: KeptRecord) -> list[Node]:
    return [(_opinion(one.name, one.value, one.comment, one.given_by[1]), ()) for one in kept.feedback]


def _stage(name: str, verdict: str, microseconds: int, paint: Paint) -> str:
    good = verdict in ("passed", "changed", "answered", "ok", "hit", "miss", "stale")
    return f"{safe(name, 40):<24} {paint(safe(verdict, 40), 'green' if good else 'red'):<12} {microseconds:,} µs"


def _attempt(number: int, one: AttemptRecord, paint: Paint) -> Node:
    failed = one.error_code is not None
    verdict = paint(safe(one.error_code) if failed else "ok", "red" if failed else "green")
    told = (
        f"{safe(one.deployment)}  {one.status or '-'}  {verdict}  {length_of(one.duration)}  {money_of(one.cost_nano)}"
    )
    credential = one.credential_ref
    if credential and one.credential_fingerprint:
        credential += f" ({one.credential_fingerprint})"
    below = _leaves(
        [
            ("began after", length_of(one.started)),
            ("first content after", None if one.first_content is None else length_of(one.first_content)),
            ("tokens", _tokens(one.usage)),
            ("credential", credential),
            ("provider's id", one.provider_request_id),
            ("tier", one.service_tier),
            ("error", one.error_message),
            ("given up", "yes" if one.abandoned else None),
            ("lost", "it had been sent" if one.lost else None),
        ]
    )
    return f"#{number + 1}  {told}", below


def _answered(record: Record, paint: Paint) -> list[Node]:
    speed = record.time_per_token
    content = record.content
    leaves = _leaves(
        [
            ("model", record.response_model),
            ("provider", record.provider_name),
            ("finish reason", record.finish_reason),
            ("first content after", None if record.first_content is None else length_of(record.first_content)),
            ("time per token", None if speed is None else length_of(speed)),
            ("tokens", _tokens(record.usage)),
            ("cost", money_of(record.cost_nano)),
            ("cache", record.cache),
            ("limit", record.limit),
            ("asked", _content(content.request) if content and content.request else None),
            ("content", _content(content.response) if content and content.response else None),
        ]
    )
    if record.error_code:
        leaves.append((paint(f"error {safe(record.error_code)}: {safe(record.error_message, 1000)}", "red"), ()))
    return leaves


def _tokens(usage: Usage | None) -> str | None:
    if usage is None:
        return None
    parts = [f"{name.replace('_', ' ')} {value:,}" for name, value in attrs.asdict(usage).items() if _is_count(value)]
    return ", ".join(parts) + (" (estimated)" if usage.estimated else "")


def _is_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _opinion(name: str, value: object, comment: str | None, giver: str) -> str:
    return f"{safe(name)}: {safe(value)} by {safe(giver)}" + (f": {safe(comment, 1000)}" if comment else "")


def _content(side: Content) -> str:
    more = [f"{side.size:,} bytes", side.media_type]
    more += [f"{side.redactions} values taken out"] if side.redactions else []
    more += ["its end is missing"] if side.truncated else []
    return ", ".join(safe(one) for one in more)


def _readable(text: str) -> str:
    """A content with its lines, and without anything else that a terminal would obey."""
    return "\n".join(safe(line, _LONGEST) for line in text[:_LONGEST].split("\n"))
