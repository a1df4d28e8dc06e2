"""``llmgate check``: says everything that is wrong with a configuration, and what would be built from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmgate.spec import ConfigError

from .subparsers import Subparsers
from .surroundings import find_dotenv

if TYPE_CHECKING:
    from llmgate.config.model import GatewayConfig, StageConfig

__all__ = ["add_parser", "refuse_open_door", "run", "summary"]


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="say what is wrong with a configuration",
        description="Read a configuration as `llmgate serve` would and say everything that is wrong with it, "
        "as FILE:LINE:COLUMN. Nothing is opened and nobody is called.",
    )
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        metavar="FILE",
        help="the configuration (default: the one that `llmgate serve` would find here, else the environment alone)",
    )
    parser.add_argument("--explain", action="store_true", help="print what would be built: every stage, in order")


def run(args: argparse.Namespace) -> int:
    """Check the configuration; 0 when it can be used, 2 when not."""
    # Late: reads YAML and imports the plugins that the configuration names, which `llmgate --help` does not need.
    from llmgate.config import find_file
    from llmgate.config.explain import explain
    from llmgate.pipeline.pipeline import Pipeline

    source = args.file or find_file(Path())
    try:
        config = Pipeline.from_config(source, dotenv=find_dotenv()).config
        refuse_open_door(config)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        count = len(error.problems)
        print(f"{count} problem{'s' if count > 1 else ''}", file=sys.stderr)
        return 2
    print(f"{config.source}: ok ({summary(config)})")
    if args.explain:
        print(explain(config), end="")  # with its warnings
        return 0
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def refuse_open_door(config: GatewayConfig) -> None:
    """Say now what ``llmgate serve`` would say later of an address that everybody can reach.

    Raises:
        ConfigError: the host would listen beyond this machine, and nobody has to log in.
    """
    try:
        # Late, and only where the server extra is installed: without it nothing is served.
        from llmgate.host.guard import authenticates, is_loopback
    except ModuleNotFoundError:
        return
    server = config.server
    if not (is_loopback(server.address) or server.allow_open or authenticates(config)):
        raise ConfigError(
            f"{config.source}: server.address is {server.address} and there is no client authentication, so that "
            "`llmgate serve` refuses to start: configure auth, listen on 127.0.0.1, or set server.allow-open"
        )


def summary(config: GatewayConfig) -> str:
    """The configuration in one line: how many providers and routers, and who may call."""
    providers, routers = len(config.providers), len(config.routers)
    return ", ".join(
        [
            f"{providers} provider{'' if providers == 1 else 's'}",
            f"{routers} router{'' if routers == 1 else 's'}",
            f"authentication by {_names(config.auth)}" if config.auth else "no client authentication",
        ]
    )


def _names(stages: Sequence[StageConfig]) -> str:
    """The ids of stages in their order."""
    return ", ".join(stage.use for stage in stages)
