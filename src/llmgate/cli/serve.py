"""``llmgate serve``: builds the Pipeline, binds the sockets, says what it serves, and serves until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import errno
import gc
import importlib.metadata
import json
import logging
import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.spec import Principal

from .subparsers import Subparsers
from .surroundings import find_dotenv

if TYPE_CHECKING:
    from llmgate.config.model import GatewayConfig, ServerConfig
    from llmgate.pipeline import ModelEntry, Pipeline

__all__ = ["add_parser", "run"]

MODELS_SHOWN: Final = 3
LONGEST_LIST: Final = 12


def add_parser(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="run the gateway",
        description="Run the gateway. Without --config it takes llmgate.yaml or ai-gateway-config.yaml from here; "
        "without either, every provider whose key is in the environment or in .env.",
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the configuration")
    parser.add_argument("--host", metavar="ADDRESS", help="the address to listen on (server.address)")
    parser.add_argument("--port", type=_port, help="the port, 0 for a free one (server.port)")
    parser.add_argument(
        "--allow-open",
        action="store_true",
        help="listen beyond this machine although nobody has to log in (server.allow-open): "
        "whoever reaches the port spends the keys",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; only 1 so far")
    parser.add_argument(
        "--shutdown-grace",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long /ready says 503 before new connections are refused, for load balancers to notice (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop.

    Returns:
        0 after a shutdown in order, 1 when the address cannot be had, 2 when the configuration or the command is wrong.
    """
    if args.workers != 1:
        return _refuse(
            f"--workers {args.workers}: only one process is served so far; run several behind a load balancer"
        )
    # Late: reading YAML, aiohttp and the server extra are needed by this command only.
    from llmgate.config import find_file
    from llmgate.host.guard import authenticates, is_loopback
    from llmgate.host.server import bind
    from llmgate.pipeline import Pipeline

    source = args.config if args.config is not None else find_file(Path())
    pipeline = Pipeline.from_config(source, environment=os.environ, dotenv=find_dotenv())
    server = _settings(args, pipeline.config.server)
    _start_logging(args, pipeline.config)
    if not (is_loopback(server.address) or server.allow_open or authenticates(pipeline.config)):
        return _refuse(
            f"refusing to listen on {server.address} without client authentication, since whoever reaches the port "
            "spends the keys: configure auth, listen on 127.0.0.1, or pass --allow-open"
        )
    try:
        sockets = bind(server.address, server.port)
    except OSError as error:
        print(f"llmgate: {_bind_problem(server, error)}", file=sys.stderr)
        return 1
    try:
        return asyncio.run(_serve(pipeline, server, sockets, args.shutdown_grace))
    finally:
        for bound in sockets:
            bound.close()


async def _serve(pipeline: Pipeline, server: ServerConfig, sockets: Sequence[socket.socket], grace: float) -> int:
    # Late for the same reason as in `run`.
    from llmgate.host.app import create_app
    from llmgate.host.server import serve
    from llmgate.pipeline.models import list_models

    app = create_app(pipeline, owns_pipeline=False, server=server)
    async with pipeline:
        # Not `pipeline.models()`: that is an exchange, and an exchange leaves a record that nobody asked for.
        models = list_models(pipeline.snapshot, pipeline.secrets, Principal.local(), None)

        def greet() -> None:
            for line in _greeting(pipeline.config, server, sockets[0], models):
                print(line)
            sys.stdout.flush()
            # What has been built lives as long as the process: no collection need look at it again.
            gc.collect()
            gc.freeze()

        await serve(app, sockets, grace=grace, started=greet)
    return 0


def _settings(args: argparse.Namespace, server: ServerConfig) -> ServerConfig:
    """The host's settings with what the command line says instead."""
    return attrs.evolve(
        server,
        address=server.address if args.host is None else args.host,
        port=server.port if args.port is None else args.port,
        allow_open=server.allow_open or args.allow_open,
    )


def _greeting(
    config: GatewayConfig, server: ServerConfig, bound: socket.socket, models: Sequence[ModelEntry]
) -> Iterator[str]:
    """What the start prints, one line each; the last is a command that works when pasted."""
    from llmgate.host.guard import authenticates  # late, as in `run`

    url = _url(server.address, bound.getsockname()[1])
    version = importlib.metadata.version("llmgate")
    yield f"llmgate {version} is listening on {url} (configuration: {config.source})"
    yield f"providers: {_listed(list(config.providers)) or 'none'}"
    if config.routers:
        yield f"routers: {_listed(list(config.routers))}"
    names = [entry.id for entry in models]
    shown = ", ".join(names[:MODELS_SHOWN]) + (", …" if len(names) > MODELS_SHOWN else "")
    yield f"models: {len(names)} known{f' ({shown})' if names else ''}"
    secured = authenticates(config)
    yield f"authentication: {_authentication(config, server, secured=secured)}"
    for warning in config.warnings:
        yield f"warning: {warning}"
    yield f"try: {_curl(config, url, names, secured=secured)}"


def _authentication(config: GatewayConfig, server: ServerConfig, *, secured: bool) -> str:
    from llmgate.host.guard import is_loopback  # late, as in `run`

    if secured:
        return ", ".join(stage.use for stage in config.auth)
    if is_loopback(server.address):
        return "off: any program on this machine can use the keys"
    return "off although the port is open: whoever reaches it spends the keys"


def _curl(config: GatewayConfig, url: str, models: Sequence[str], *, secured: bool) -> str:
    """A request that works when pasted, but for the key where one is wanted."""
    body = {"model": _example_model(config, models), "messages": [{"role": "user", "content": "Hello!"}]}
    parts = ["curl", f"{url}/v1/chat/completions", "-H", shlex.quote("Content-Type: application/json")]
    if secured:
        parts += ["-H", '"Authorization: Bearer $YOUR_KEY"']
    return " ".join([*parts, "-d", shlex.quote(json.dumps(body))])


def _example_model(config: GatewayConfig, models: Sequence[str]) -> str:
    """A model of the first provider, written as a caller would."""
    for provider in config.providers:
        if provider == "echo":
            return "echo"
        for model in models:
            if model.startswith(f"{provider}/") and "*" not in model:
                return model
    return models[0] if models else "provider/model"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LONGEST_LIST])
    more = len(names) - LONGEST_LIST
    return f"{shown} and {more} more" if more > 0 else shown


def _url(address: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(address, address)  # noqa: S104 - compared only
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}"


def _bind_problem(server: ServerConfig, error: OSError) -> str:
    where = f"{server.address}:{server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: the port is in use; stop what listens there or choose another with --port"
    if error.errno == errno.EACCES:
        return f"cannot listen on {where}: not permitted; choose a port from 1024 on with --port"
    return f"cannot listen on {where}: {error.strerror or error}"


def _start_logging(args: argparse.Namespace, config: GatewayConfig) -> None:
    """Send the application log to stderr and the access log to stdout, each on its own."""
    from llmgate.host.access_log import LineFormatter, access_logger  # late, as in `run`

    level = (getattr(args, "log_level", None) or config.log_level).upper()
    ours = logging.getLogger("llmgate")
    ours.setLevel(level)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    ours.handlers = [handler]
    ours.propagate = False
    logging.getLogger("asyncio").handlers = [handler]
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter("%(message)s"))
    access_logger.handlers = [lines]
    access_logger.propagate = False
    access_logger.setLevel("INFO" if config.server.access_log else "WARNING")


def _refuse(message: str) -> int:
    print(f"llmgate: {message}", file=sys.stderr)
    return 2


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 3600:
        raise argparse.ArgumentTypeError("seconds from 0 to 3600")
    return number
