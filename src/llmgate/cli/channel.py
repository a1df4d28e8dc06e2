"""What a supervisor and a worker say to each other: one JSON object a line, over a pair of sockets.

The end of the channel is the end of the other side, however it came about.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping
from typing import Any, Final

from llmgate.config.source import MAX_BYTES

__all__ = ["Channel"]

LONGEST: Final = 8 * MAX_BYTES
"""Bytes of a message: the text of a configuration, escaped, and a little more."""


class Channel:
    """One end; make it with ``over``.

    Args:
        reader: Where messages come from.
        writer: Where messages go.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A channel over one end of a pair of sockets, which it owns from now on."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end, limit=LONGEST))

    def send(self, **message: Any) -> None:
        """Send a message; one that the other side does not live to read is lost."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message).encode("ascii") + b"\n")

    async def receive(self) -> Mapping[str, Any] | None:
        """The next message; None when the other side is gone."""
        try:
            line = await self._reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        message: Mapping[str, Any] = json.loads(line)
        return message

    async def aclose(self) -> None:
        """Send what is left and close."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
