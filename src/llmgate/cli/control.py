"""A Unix socket on which a running ``llmgate serve`` is told to reload, or to restart, or to say how it does.

Its name is made of the configuration's path, so that ``llmgate reload`` finds the gateway that was started with it;
whoever answers on it runs, so no number of a process that has long gone is ever signalled. It lies in a directory that
nobody but this user can enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

__all__ = ["Health", "ask", "ask_health", "control_directory", "controlled", "find_gateways"]

log = logging.getLogger("llmgate.serve")

LONGEST: Final = 4096
MOST: Final = 1000
"""Sockets that a start looks at."""
PATIENCE: Final = 5.0
"""Seconds that a request on the socket may take to come."""
ANSWER_SECONDS: Final = {"reload": 120.0, "restart": 900.0}
"""Seconds that each may take, all workers together."""

HEALTH_SECONDS: Final = 15.0
"""Seconds that the workers may take to say how their deployments do."""
LARGEST: Final = 64 * 1024 * 1024
"""Bytes of what they say."""

Work = Callable[[], Awaitable[Sequence[str]]]
Health = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Says for each worker, by its number, what it knows of its deployments."""


def control_directory() -> Path:
    """Where the sockets of this user lie; made if need be.

    Raises:
        OSError: it cannot be made, or somebody else could enter it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    directory = Path(base if Path(base).is_absolute() and Path(base).is_dir() else tempfile.gettempdir())
    directory /= f"llmgate-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(
            f"{directory} must be a directory that belongs to this user and that nobody else can enter"
        )
    return directory


@asynccontextmanager
async def controlled(
    config: Path | None, reload: Work, health: Health | None = None, restart: Work | None = None
) -> AsyncIterator[None]:
    """Listen while the block lasts; where that is not possible, the log says why and the gateway runs without.

    Args:
        config: The configuration's file; None where the environment says everything.
        reload: Reads the configuration again and returns what is wrong with it.
        health: Says how the deployments of each worker do; None where nobody knows.
        restart: Starts new workers and returns why it could not; None where that is not to be asked for.
    """
    does = {"reload": reload} if restart is None else {"reload": reload, "restart": restart}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                asked = json.loads(await reader.readuntil(b"\n"))
            wanted = [work for name, work in does.items() if asked == {name: True}]
            if wanted:
                answer = {"problems": list(await wanted[0]())}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
            elif asked == {"health": True} and health is not None:
                writer.write(json.dumps({"workers": list(await health())}).encode() + b"\n")
                await writer.drain()
        writer.close()

    path: Path | None = None
    try:
        directory = control_directory()
        _sweep(directory)
        path = directory / f"{_name_of(config)}-{os.getpid()}.sock"
        path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(serve, path, limit=LONGEST)
    except OSError as failure:
        log.warning("`llmgate reload` cannot reach this gateway: %s", failure)
        yield
        return
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


def find_gateways(config: Path | None) -> Mapping[int, Path]:
    """The sockets of gateways that were started with a configuration, by the number of their process.

    Raises:
        OSError: there is no directory that could be trusted.
    """
    pattern = re.compile(rf"{_name_of(config)}-(\d+)\.sock")
    found = ((pattern.fullmatch(path.name), path) for path in control_directory().iterdir())
    return {int(match[1]): path for match, path in sorted(found, key=str) if match}


async def ask(path: Path, what: str = "reload") -> Sequence[str] | None:
    """Have a gateway read its configuration again, or restart its workers.

    Args:
        path: Its socket.
        what: ``reload`` or ``restart``.

    Returns:
        Why it is not done, nothing when it is; None when nobody is there any more.

    Raises:
        OSError: it does not answer.
    """
    answer = await _said(path, json.dumps({what: True}).encode() + b"\n", ANSWER_SECONDS[what])
    return None if answer is None else [str(problem) for problem in answer["problems"]]


async def ask_health(path: Path) -> Sequence[Mapping[str, Any]] | None:
    """Ask a gateway how the deployments of each of its workers do.

    Returns:
        What each worker says, by its number; None when nobody is there any more.

    Raises:
        OSError: it does not answer.
    """
    answer = await _said(path, b'{"health": true}\n', HEALTH_SECONDS)
    workers: Sequence[Mapping[str, Any]] | None = None if answer is None else answer["workers"]
    return workers


async def _said(path: Path, question: bytes, seconds: float) -> Mapping[str, Any] | None:
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LARGEST)
    except (ConnectionRefusedError, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - left behind by one that was killed
        return None
    try:
        writer.write(question)
        async with asyncio.timeout(seconds):
            answer: Mapping[str, Any] = json.loads(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValueError) as failure:
        raise OSError(f"the gateway does not say what came of it ({type(failure).__name__}): see its log") from None
    finally:
        writer.close()
    return answer


def _sweep(directory: Path) -> None:
    """Take away what gateways that were killed have left behind: sockets at which nobody listens."""
    for path in itertools.islice(directory.glob("*.sock"), MOST):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.setblocking(False)
            try:
                knocking.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue


def _name_of(config: Path | None) -> str:
    """What the sockets of a configuration are called. A symbolic link is a name like any other: it may change."""
    text = f"environment of {Path.cwd()}" if config is None else f"file {os.path.abspath(config)}"  # noqa: PTH100 - resolves no links
    return hashlib.sha256(text.encode()).hexdigest()[:16]
