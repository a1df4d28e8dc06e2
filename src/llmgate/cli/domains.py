"""``llmgate domains``: the domains that callers may send requests to, decided by the operator, proven by the owner."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs

from llmgate.spec import DomainAction, DomainBook, DomainEvent, DomainStanding, GatewayError, standings

from .subparsers import Subparsers
from .surroundings import find_dotenv
from .table import format_table

if TYPE_CHECKING:
    from llmgate.pipeline.pipeline import Pipeline

__all__ = ["add_parser", "run"]

FILE: Final = "llmgate-domains.jsonl"
"""The book of a configuration that says nothing of one."""
_NAME_SERVER_PORT: Final = 53


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "domains",
        help="decide to which domains callers may send requests",
        description="Decide to which domains callers may send requests freely, where target-urls lets them name their "
        "own. What is asked and decided is written behind what is there already, so that the book is the audit.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    request = actions.add_parser(
        "request",
        help="ask for a domain",
        description="Ask for a domain, and print the DNS record by which its owner proves that it is his.",
    )
    verify = actions.add_parser(
        "verify",
        help="look for the proof that the domain is its owner's",
        description="Look in the DNS for the proof of ownership: `llmgate-verification=TOKEN` as `request` has printed "
        "it, or `hconeai-verification=true`, at the domain or at _llmgate-challenge.DOMAIN.",
    )
    verify.add_argument(
        "--resolver", type=_server, metavar="HOST[:PORT]", help="the name server to ask (default: this machine's)"
    )
    approve = actions.add_parser(
        "approve", help="approve a domain", description="Approve a domain whose ownership has been proven."
    )
    approve.add_argument("--without-proof", action="store_true", help="approve it although nothing was proven")
    deny = actions.add_parser(
        "deny", help="deny a domain", description="Deny a domain: no request goes there, whoever lists it."
    )
    listing = actions.add_parser(
        "list", help="list the domains", description="List the domains and what holds for each."
    )
    listing.add_argument("--json", action="store_true", help="print JSON")
    for action in (request, verify, approve, deny):
        action.add_argument("domain", type=_domain, metavar="DOMAIN", help="a host name, such as api.example.com")
        action.add_argument("--note", default="", metavar="TEXT", help="whose it is, or why: kept with the decision")
        action.add_argument("--by", default="", metavar="NAME", help="who does it (default: the user of this machine)")
    for action in (request, verify, approve, deny, listing):
        action.add_argument(
            "--book", type=Path, metavar="FILE", help="a file (default: where the configuration keeps it)"
        )
        action.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            help="the configuration (default: the one that `llmgate serve` would find here)",
        )


def run(args: argparse.Namespace) -> int:
    """Do one of it; 1 where a proof was looked for and not found, or is missing for an approval."""
    # Late: `llmgate --help` needs no stage.
    from llmgate.pipeline.backstage import Backstage

    pipeline = _pipeline(args)

    async def work() -> int:
        async with Backstage(pipeline) as backstage:
            return await _do(await backstage.open_domains(), args)

    return asyncio.run(work())


async def _do(book: DomainBook[Any], args: argparse.Namespace) -> int:
    found = standings(await book.read())
    if args.action == "list":
        return _list(list(found.values()), as_json=args.json)
    known = found.get(args.domain)
    if args.action == "request":
        return await _request(book, args, known)
    if args.action == "verify":
        return await _verify(book, args, known)
    if args.action == "approve" and not args.without_proof and (known is None or not known.proven):
        raise GatewayError(
            f"nothing proves yet whose {args.domain} is: `llmgate domains verify {args.domain}`, or --without-proof"
        )
    decision: DomainAction = "approved" if args.action == "approve" else "denied"
    await _write(book, args, decision)
    print(f"{args.domain}: {decision}; gateways on this book know within a second")
    return 0


async def _request(book: DomainBook[Any], args: argparse.Namespace, known: DomainStanding | None) -> int:
    # Late: see ``run``.
    from llmgate.stages.interceptors.target_domains.proof import challenge_name, new_token, wanted_text

    token = known.token if known is not None and known.token else new_token()
    await _write(book, args, "requested", token=token)
    print(f"{args.domain}: asked for. Its owner proves that it is his by this DNS record, at either name:\n")
    for name in (args.domain, challenge_name(args.domain)):
        print(f'  {name}.  TXT  "{wanted_text(token)}"')
    print(f"\nthen: llmgate domains verify {args.domain}")
    return 0


async def _verify(book: DomainBook[Any], args: argparse.Namespace, known: DomainStanding | None) -> int:
    # Late: see ``run``.
    from llmgate.stages.interceptors.target_domains.proof import challenge_name, find_proof
    from llmgate.wire.dns import NameLookupError, NameServers, configured_servers

    servers = NameServers([args.resolver] if args.resolver else configured_servers())
    token = known.token if known is not None else ""
    try:
        proof = await find_proof(args.domain, token, servers.texts)
    except NameLookupError as failure:
        raise GatewayError(str(failure)) from None
    if proof is None:
        raise GatewayError(
            f"no proof at {args.domain} nor at {challenge_name(args.domain)}: publish the record that "
            f"`llmgate domains request {args.domain}` prints; name servers may take a while to tell"
        )
    await _write(book, args, "verified", proof=proof)
    print(f"{args.domain}: proven by {proof}\nthen: llmgate domains approve {args.domain}")
    return 0


def _list(found: list[DomainStanding], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([attrs.asdict(one) for one in found], indent=2))
        return 0
    rows = [(one.domain, one.action, one.since, one.proven or "-", one.by or "-", one.note or "-") for one in found]
    print(format_table(("DOMAIN", "STATE", "SINCE", "PROVEN", "BY", "NOTE"), rows))
    return 0


async def _write(
    book: DomainBook[Any], args: argparse.Namespace, action: DomainAction, *, token: str = "", proof: str = ""
) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    by = args.by or _user()
    await book.append(DomainEvent(now, args.domain, action, by=by, note=args.note, token=token, proof=proof))


def _pipeline(args: argparse.Namespace) -> Pipeline:
    """One with the book that is meant: the file asked for, or where the configuration keeps it; beside it otherwise."""
    # Late: reads YAML and imports the plugins that the configuration names.
    from llmgate.config import find_file
    from llmgate.pipeline.pipeline import Pipeline

    if args.book is not None:
        return _with_file(args.book)
    path = args.config or find_file(Path())
    if path is None:
        return _with_file(Path(FILE))
    found = Pipeline.from_config(path, dotenv=find_dotenv())
    return found if found.config.domains is not None else _with_file(found.config.directory / FILE)


def _with_file(path: Path) -> Pipeline:
    # Late: see ``_pipeline``.
    from llmgate.pipeline.pipeline import Pipeline

    source = {"providers": {"echo": {}}, "target-urls": {"book": str(path.absolute())}}
    return Pipeline.from_config(source, environment={})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in many containers
        return ""


def _domain(text: str) -> str:
    # Late: see ``run``.
    from llmgate.catalogue import parse_target

    try:
        target = parse_target(f"https://{text}")
    except ValueError:
        target = None
    if target is None or target.port != 443 or target.host not in {text.lower(), text.lower().rstrip(".")}:
        raise argparse.ArgumentTypeError(f"{text!r} is no host name: write api.example.com")
    return target.host


def _server(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and 0 < int(port) < 65536:
        return host.strip("[]"), int(port)
    return text.strip("[]"), _NAME_SERVER_PORT
