"""The ``llmgate`` program: its parser, and what becomes of each error that a command raises."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from llmgate.spec import ConfigError, GatewayError, PluginError

from . import (
    check,
    domains,
    extensions,
    health,
    init,
    keys,
    logs,
    models,
    plugins,
    prices,
    providers,
    reload,
    restart,
    schema,
    secrets,
    serve,
    show,
    top,
    usage,
)

__all__ = ["COMMANDS", "build_parser", "main"]

COMMANDS: Final = {
    "serve": serve,
    "reload": reload,
    "restart": restart,
    "init": init,
    "check": check,
    "schema": schema,
    "providers": providers,
    "models": models,
    "health": health,
    "prices": prices,
    "plugins": plugins,
    "keys": keys,
    "domains": domains,
    "secrets": secrets,
    "logs": logs,
    "show": show,
    "usage": usage,
    "top": top,
}
"""The commands by name, in the order in which ``--help`` lists them."""

_LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_EXTRAS: Final = {
    **dict.fromkeys(("h11", "h2", "hypercorn", "starlette"), "server"),
    **dict.fromkeys(("httptools", "uvicorn", "uvloop"), "fast"),
}
"""Which extra installs what the server needs; any of them missing means that the extra is."""


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Args:
        words: The command line, so that the commands of its group are there that plugins bring; None to leave them out.

    Raises:
        PluginError: a plugin that brings the command called for cannot be used.
    """
    parser = argparse.ArgumentParser(
        prog="llmgate",
        description="A gateway between applications and LLM providers.",
        epilog="Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.",
    )
    version = f"llmgate {importlib.metadata.version('llmgate')}"
    parser.add_argument("--version", action="version", version=version, help="print the version")
    _add_log_level(parser, default=None)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    added = {name: command.add_parser(subparsers) for name, command in COMMANDS.items()}
    if words is not None:
        extensions.add_offered(subparsers, {name: more for name, more in added.items() if more is not None}, words)
    for subparser in subparsers.choices.values():
        # SUPPRESS: an option left out after the command must not overwrite one given before it.
        _add_log_level(subparser, default=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments without the program's name; None takes the process's own.

    Returns:
        The exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong.
    """
    words = sys.argv[1:] if argv is None else argv
    try:
        args = build_parser(words).parse_args(words)
    except PluginError as error:
        print(f"llmgate: {error}", file=sys.stderr)
        return 1
    logging.basicConfig(
        level=(args.log_level or "warning").upper(), format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    try:
        status: int = (extensions if hasattr(args, "extension") else COMMANDS[args.command]).run(args)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except GatewayError as error:
        print(f"llmgate: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(
            f"llmgate: the server needs {error.name}, which is not installed: pip install 'llmgate[{extra}]'",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone (`llmgate schema | head`); keep the interpreter's own flush at exit quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _add_log_level(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """Add ``--log-level`` unless the command has one of its own."""
    with contextlib.suppress(argparse.ArgumentError):
        parser.add_argument(
            "--log-level",
            choices=_LOG_LEVELS,
            default=default,
            metavar="LEVEL",
            help=f"how much to log on stderr: {', '.join(_LOG_LEVELS)}",
        )
