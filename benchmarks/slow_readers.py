"""What clients cost that stop reading in the middle of a stream, while the provider sends as fast as it is let.

The readers are sockets with a small receive buffer, so that what lies in the kernel is soon full and what the server
holds is what is left to grow. The server's resident memory is read when it no longer grows.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.load import LoadError
from benchmarks.payloads import FLOOD_MODEL, request_bytes
from benchmarks.targets import Target

__all__ = ["slow_reader_figures"]

RECEIVE_BUFFER: Final = 16 * 1024
PATIENCE: Final = 30.0
"""Seconds that the first event may take, and that the memory may take to grow no more."""
STEADY_SHARE: Final = 0.005
WARM_UP: Final = 8
"""Readers that come and leave beforehand, so that what a first stream loads is no part of the figure."""


def slow_reader_figures(target: Target, readers: int, *, steady: float) -> Mapping[str, Any]:
    """Kilobytes of the server's memory for each reader that has stopped.

    Args:
        target: What is asked.
        readers: How many.
        steady: Seconds in which the memory must not have grown before it is read.

    Raises:
        LoadError: a stream did not begin, or could not be read on afterwards.
    """
    with _readers(target, WARM_UP):
        _steady_memory(target, steady)
    before = _steady_memory(target, steady)
    with _readers(target, readers) as stopped:
        after = _steady_memory(target, steady)
        for reader in stopped:
            if not reader.recv(1024):
                raise LoadError(f"{target.name}: a stream that was not read has been cut")
    return {"streams": readers, "kb_per_stream": (after - before) / readers / 1e3, "memory_mb": after / 1e6}


@contextlib.contextmanager
def _readers(target: Target, count: int) -> Iterator[Sequence[socket.socket]]:
    """So many clients, each with the beginning of its answer read and nothing more."""
    with contextlib.ExitStack() as exits:
        request = request_bytes(port=target.process.port, model=target.asks(FLOOD_MODEL), stream=True)
        readers = []
        for _ in range(count):
            reader = exits.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            reader.settimeout(PATIENCE)
            reader.connect(("127.0.0.1", target.process.port))
            reader.sendall(request)
            readers.append(reader)
        for reader in readers:
            begun = b""
            while b"data: {" not in begun:
                piece = reader.recv(2048)
                begun += piece
                if not piece or not begun.startswith(b"HTTP/1.1 200 "):
                    raise LoadError(f"{target.name}: not a stream: {begun[:300]!r}")
        yield readers


def _steady_memory(target: Target, steady: float) -> int:
    """Resident bytes, once they have grown no more for a while."""
    until = time.monotonic() + PATIENCE
    seen: list[tuple[float, int]] = []
    while time.monotonic() < until:
        now = time.monotonic()
        resident = target.process.resident_bytes()
        if resident is None:
            raise LoadError("resident memory cannot be read here")
        seen.append((now, resident))
        recent = [value for when, value in seen if when >= now - steady]
        if now - seen[0][0] >= steady and max(recent) - min(recent) <= STEADY_SHARE * max(recent):
            return resident
        time.sleep(0.1)
    raise LoadError(f"{target.name}: its memory grows on and on")
