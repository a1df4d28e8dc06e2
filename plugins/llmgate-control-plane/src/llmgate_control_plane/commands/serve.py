"""``llmgate control-plane serve``: the control plane as a process."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from llmgate.spec import Command, CommandContext, ConfigError, KeyBook, Serving, SystemClock
from llmgate_control_plane.config import is_loopback
from llmgate_control_plane.server.app import PATH, Limits, PlaneApp
from llmgate_control_plane.server.gateways import GatewaysFile
from llmgate_control_plane.server.ledger import Ledger

from .gateways import PLANE_SUMMARY, add_file

__all__ = ["Serve"]

_PORT = 8585
_SHORTEST_BEAT, _LONGEST_BEAT = 0.05, 3600.0


class Serve(Command):
    """``llmgate control-plane serve``."""

    group, group_summary = "control-plane", PLANE_SUMMARY
    name, summary = "serve", "serve the keys of the configuration's auth provider"
    description = (
        "Serve the keys of the configuration's auth provider (issued-keys) to gateways that have `use: control-plane`: "
        "all of them when one connects, and each change as it is made. Gateways that may connect are added with "
        "`llmgate control-plane add`. Beyond this machine it wants a certificate, or a proxy that has one."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Where and how."""
        parser.add_argument("--address", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=_PORT, help=f"the port, 0 for a free one (default: {_PORT})")
        parser.add_argument("--certificate", type=Path, metavar="FILE", help="its certificate, with the chain (PEM)")
        parser.add_argument("--private-key", type=Path, metavar="FILE", help="the key of the certificate (PEM)")
        parser.add_argument(
            "--behind-tls",
            action="store_true",
            help="a proxy before it speaks TLS: listen in clear",
        )
        parser.add_argument(
            "--beat", type=float, default=5.0, metavar="SECONDS", help="time between two signs of life (default: 5)"
        )
        parser.add_argument(
            "--max-connections", type=int, default=1000, metavar="N", help="connections at once (default: 1000)"
        )
        parser.add_argument(
            "--max-each", type=int, default=64, metavar="N", help="connections of one gateway (default: 64)"
        )
        add_file(parser)

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Serve until a signal."""
        if not _SHORTEST_BEAT <= args.beat <= _LONGEST_BEAT:
            raise ConfigError(f"--beat must be from {_SHORTEST_BEAT:g} to {_LONGEST_BEAT:g} seconds")
        if args.certificate is None and not args.behind_tls and not is_loopback(args.address):
            raise ConfigError(
                f"on {args.address} credentials and hashes of keys would go over the network in clear: give "
                "--certificate and --private-key, or --behind-tls where a proxy before it speaks TLS"
            )
        clock = SystemClock()
        limits = Limits(connections=args.max_connections, each=args.max_each)
        app = PlaneApp(GatewaysFile(args.gateways), clock, limits)
        app.look()
        ledger = Ledger(await _book(context), clock, args.beat, app.tell)
        await ledger.fill()
        app.ledger = ledger
        work = [asyncio.create_task(app.watch()), asyncio.create_task(ledger.follow())]
        serving = Serving(
            args.address,
            args.port,
            certificate=args.certificate,
            private_key=args.private_key,
            started=lambda url: print(_greeting(url, len(ledger)), flush=True),
            ending=app.stop,
        )
        try:
            await context.serve(app, serving)
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        return 0


async def _book(context: CommandContext) -> KeyBook:
    """The first auth provider whose keys can be handed on.

    Raises:
        ConfigError: there is none.
    """
    found: list[Any] = [one for one in await context.open_auth() if isinstance(one, KeyBook)]
    if not found:
        raise ConfigError("the configuration keeps no keys that can be served: write `- use: issued-keys` under auth")
    return found[0]  # type: ignore[no-any-return]


def _greeting(url: str, keys: int) -> str:
    return f"serving {keys} keys; gateways connect to {url.replace('http', 'ws', 1)}{PATH}"
