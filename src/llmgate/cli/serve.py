"""``llmgate serve``: reads the configuration, binds the sockets, and serves in this process or through a supervisor."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from llmgate.spec import ConfigError, GatewayError

from .subparsers import Subparsers

if TYPE_CHECKING:
    from llmgate.config import ConfigText
    from llmgate.config.model import ServerConfig

    from .job import Job
    from .serving import Serving

__all__ = ["LOOPS", "SERVERS", "add_parser", "run"]

SERVERS: Final = ("hypercorn", "uvicorn")
LOOPS: Final = ("auto", "asyncio", "uvloop")
"""As ``ServerConfig`` has them, which is not imported for a command line that serves nothing."""

GRANIAN: Final = (
    "granian cannot keep what llmgate promises, and what it would refuse it would refuse in words of its own: "
    "choose hypercorn or uvicorn (docs/explanation/servers.md)"
)


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
    parser.add_argument("--workers", type=_workers, metavar="N", help="how many processes serve (server.workers)")
    parser.add_argument(
        "--shutdown-grace",
        type=_seconds,
        metavar="SECONDS",
        help="how long /ready says 503 before new connections are refused, for load balancers to notice "
        "(server.shutdown-grace)",
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=_seconds,
        const=2.0,
        metavar="SECONDS",
        help="look so often whether the configuration has changed, every 2 s if no number is given, and read it again "
        "then (server.watch)",
    )
    parser.add_argument(
        "--server",
        type=_server,
        metavar="NAME",
        help="whose HTTP/1.1 reads requests: hypercorn, or uvicorn, which is faster and wants llmgate[fast] "
        "(server.use)",
    )
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        metavar="NAME",
        help="the event loop: asyncio, uvloop, or auto, which takes uvloop with uvicorn where it is installed "
        "(server.loop)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop.

    Returns:
        0 after a shutdown in order, 1 when the address cannot be had or workers keep dying, 2 when the configuration or
        the command is wrong.
    """
    # Late: reading YAML, aiohttp and the server extra are needed by this command only.
    from llmgate.host.loops import loop_factory, loop_name, require_installed
    from llmgate.host.server import bind

    from .job import Job
    from .serving import Serving

    with _no_hangup():
        job = Job.of(args)
        source = job.read()
        serving = Serving(job, source)
        serving.start_logging()
        server = serving.server
        require_installed(server)
        try:
            serving.refuse_unsafe()
        except ConfigError as refusal:
            print(f"llmgate: {refusal}", file=sys.stderr)
            return 2
        try:
            sockets = bind(server.address, server.port)
        except OSError as error:
            print(f"llmgate: {_bind_problem(server, error)}", file=sys.stderr)
            return 1
        try:
            if server.workers == 1:
                with asyncio.Runner(loop_factory=loop_factory(loop_name(server))) as runner:
                    return runner.run(_serve(job, source, serving, sockets))
            return asyncio.run(_supervise(job, source, serving, sockets))
        finally:
            for bound in sockets:
                bound.close()


async def _serve(job: Job, source: ConfigText | None, serving: Serving, sockets: Sequence[socket.socket]) -> int:
    """Serve in this process."""
    from .serving import log_problems, problems_of  # late, as in `run`

    async def reload() -> Sequence[str]:
        try:
            await serving.follow(job.read(source))
        except GatewayError as error:
            problems = problems_of(error)
            log_problems(problems)
            return problems
        serving.start_logging()
        serving.announce(serving.pipeline.snapshot)
        return ()

    def greet(lines: Sequence[str]) -> None:
        print("\n".join(lines), flush=True)

    async with serving.reloads(source, reload) as reloads:
        await serving.run(sockets, started=greet, reload=reloads.on_signal)
    return 0


async def _supervise(job: Job, source: ConfigText | None, serving: Serving, sockets: Sequence[socket.socket]) -> int:
    """Serve in several processes."""
    from .supervisor import Supervisor  # late, as in `run`

    return await Supervisor(job, source, serving, sockets).run()


@contextlib.contextmanager
def _no_hangup() -> Iterator[None]:
    """Let a SIGHUP that comes before there is anything to reload, or after, do nothing rather than end the process."""
    before = signal.getsignal(signal.SIGHUP)
    if before == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)  # not SIG_IGN, which would look like nohup
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _bind_problem(server: ServerConfig, error: OSError) -> str:
    where = f"{server.address}:{server.port}"
    if error.errno == errno.EADDRINUSE:
        return f"cannot listen on {where}: the port is in use; stop what listens there or choose another with --port"
    if error.errno == errno.EACCES:
        return f"cannot listen on {where}: not permitted; choose a port from 1024 on with --port"
    return f"cannot listen on {where}: {error.strerror or error}"


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number


def _server(text: str) -> str:
    if text not in SERVERS:
        raise argparse.ArgumentTypeError(GRANIAN if text == "granian" else f"servers are {' and '.join(SERVERS)}")
    return text


def _workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 256:
        raise argparse.ArgumentTypeError("workers are 1 to 256")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 <= number < 3600:
        raise argparse.ArgumentTypeError("seconds from 0 to 3600")
    return number
