"""A Unix socket on which a running ``llmgate serve`` can be told to read its configuration again.

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

__all__ = ["ask", "control_directory", "controlled", "find_gateways"]

log = logging.getLogger("llmgate.serve")

LONGEST: Final = 4096
MOST: Final = 1000
"""Sockets that a start looks at."""
PATIENCE: Final = 5.0
"""Seconds that a request on the socket may take to come."""
ANSWER_SECONDS: Final = 120.0
"""Seconds that a reload may take, all workers together."""

Work = Callable[[], Awaitable[Sequence[str]]]


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
async def controlled(config: Path | None, reload: Work) -> AsyncIterator[None]:
    """Listen while the block lasts; where that is not possible, the log says why and the gateway runs without.

    Args:
        config: The configuration's file; None where the environment says everything.
        reload: Reads the configuration again and returns what is wrong with it.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                asked = json.loads(await reader.readuntil(b"\n"))
            if asked == {"reload": True}:
                answer = {"problems": list(await reload())}
                writer.write(json.dumps(answer).encode() + b"\n")
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


async def ask(path: Path) -> Sequence[str] | None:
    """Have a gateway read its configuration again.

    Returns:
        What is wrong with it, nothing when it serves by it now; None when nobody is there any more.

    Raises:
        OSError: it does not answer.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except (ConnectionRefusedError, FileNotFoundError):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - left behind by one that was killed
        return None
    try:
        writer.write(b'{"reload": true}\n')
        async with asyncio.timeout(ANSWER_SECONDS):
            answer: Mapping[str, Any] = json.loads(await reader.readuntil(b"\n"))
    except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValueError) as failure:
        raise OSError(f"the gateway does not say what came of it ({type(failure).__name__}): see its log") from None
    finally:
        writer.close()
    return [str(problem) for problem in answer["problems"]]


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
