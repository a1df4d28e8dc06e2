"""``llmgate control-plane add``, ``list`` and ``remove``: which gateways may connect."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Final

import attrs

from llmgate.spec import Command, CommandContext
from llmgate_control_plane.server.gateways import GatewaysFile, new_credential

__all__ = ["FILE", "PLANE_SUMMARY", "GatewayAdd", "GatewayList", "GatewayRemove", "add_file"]

PLANE_SUMMARY: Final = "serve the keys of a database to many gateways"
FILE: Final = Path("llmgate-gateways.json")


def add_file(parser: argparse.ArgumentParser) -> None:
    """The argument that says where gateways are kept."""
    parser.add_argument(
        "--gateways",
        type=Path,
        default=FILE,
        metavar="FILE",
        help=f"the file of gateways that may connect (default: {FILE})",
    )


class GatewayAdd(Command):
    """``llmgate control-plane add``."""

    group, group_summary = "control-plane", PLANE_SUMMARY
    name, summary = "add", "let a gateway connect"
    description = (
        "Let a gateway connect to the control plane, and show the credential that it does so with, once. A control "
        "plane that runs knows it at once."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which gateway."""
        parser.add_argument("gateway", metavar="NAME", help="what the gateway is called, in lists and logs")
        add_file(parser)

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Add it."""
        del context
        credential = new_credential()
        GatewaysFile(args.gateways).add(args.gateway, credential, time.time())
        print(f"the credential of {args.gateway} (shown once, put it where that gateway keeps its secrets):\n")
        print(f"  {credential}")
        return 0


class GatewayList(Command):
    """``llmgate control-plane list``."""

    group, group_summary = "control-plane", PLANE_SUMMARY
    name, summary = "list", "list the gateways that may connect"
    description = "List the gateways that may connect to the control plane."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """How to say it."""
        add_file(parser)
        parser.add_argument("--json", action="store_true", help="print JSON")

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """List them."""
        known = GatewaysFile(args.gateways).read().known
        if args.json:
            rows = [attrs.asdict(one, filter=lambda field, _: field.name != "hash") for one in known]
            print(json.dumps(rows, indent=2))
        else:
            context.print_table(("GATEWAY", "ADDED"), [(one.name, one.added) for one in known])
        return 0


class GatewayRemove(Command):
    """``llmgate control-plane remove``."""

    group, group_summary = "control-plane", PLANE_SUMMARY
    name, summary = "remove", "let a gateway connect no longer"
    description = (
        "Let a gateway connect to the control plane no longer. One that is connected is sent away within a second; "
        "what it knows it goes on with for as long as its own configuration says."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Which gateway."""
        parser.add_argument("gateway", metavar="NAME", help="what the gateway is called")
        add_file(parser)

    async def run(self, args: argparse.Namespace, context: CommandContext) -> int:
        """Remove it."""
        del context
        GatewaysFile(args.gateways).remove(args.gateway)
        print(f"gateway {args.gateway} may connect no longer")
        return 0
