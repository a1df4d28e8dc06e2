"""One request to the application and its answer: what an ASGI server is to a connection, without the connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

__all__ = ["READ_AHEAD", "Application", "BrokenOffError", "Conversation", "Head", "Message"]

Message: TypeAlias = "MutableMapping[str, Any]"
Application: TypeAlias = (
    "Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]"
)

READ_AHEAD: Final = 256 * 1024
"""Bytes of an answer that are held for a reader who does not take them yet: as many as for one behind a socket."""


class BrokenOffError(Exception):
    """The application ended without ending its answer; over HTTP the server would cut the connection."""


@attrs.frozen
class Head:
    """The head of an answer.

    Args:
        status: The HTTP status.
        headers: Names, lower case, and values.
    """

    status: int
    headers: Sequence[tuple[bytes, bytes]]


class Conversation:
    """One request, on the event loop on which it is made.

    Whoever makes it calls ``leave`` or ``depart`` in the end, whatever happened; after ``leave`` the application's work
    is over and settled.

    Args:
        app: The application.
        scope: The ASGI scope of the request.
        body: The request's body.
    """

    def __init__(self, app: Application, scope: Message, body: bytes) -> None:
        self._body: bytes | None = body
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._head: Head | None = None
        self._ended = False
        self._left = asyncio.Event()
        self._news: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.work = asyncio.ensure_future(app(scope, self._receive, self._send))
        """What the application does for it."""
        self.work.add_done_callback(lambda _: self._tell())

    @property
    def head(self) -> Head:
        """The head of the answer, once ``begun`` has returned."""
        assert self._head is not None, "nothing has come yet"
        return self._head

    async def begun(self, timeout: float | None) -> None:
        """Wait for the head of the answer.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        Raises:
            TimeoutError: it did not come in time.
            BrokenOffError: it will not come.
        """
        async with asyncio.timeout(timeout):
            while self._head is None:
                await self._wait()

    async def read(self, timeout: float | None) -> bytes:
        """What has come of the body since the last time; ``b""`` at its end.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        Raises:
            TimeoutError: nothing came in time.
            BrokenOffError: the rest will not come.
        """
        if not self._pieces:
            async with asyncio.timeout(timeout):
                while not (self._pieces or self._ended):
                    await self._wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        _wake(self._room)
        return data

    def depart(self) -> None:
        """Want nothing more: an answer that is still under way is cancelled at the provider. Idempotent."""
        self._left.set()
        _wake(self._room)

    async def leave(self) -> None:
        """Depart, and wait until the application's work is over. Idempotent."""
        self.depart()
        if not self.work.done():
            await asyncio.wait((self.work,))

    async def _wait(self) -> None:
        if self.work.done():
            if self.work.cancelled():
                raise BrokenOffError("the gateway was stopped before its answer was whole")
            raise BrokenOffError("the gateway ended without ending its answer") from self.work.exception()
        self._news = asyncio.get_running_loop().create_future()
        await self._news

    async def _receive(self) -> Message:
        if self._body is not None and not self._left.is_set():
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._left.is_set():
            raise OSError("the reader has left")  # how ASGI says it (specification 2.4)
        if message["type"] == "http.response.start":
            self._head = Head(message["status"], message["headers"])
        else:
            data: bytes = message.get("body", b"")
            if data:
                self._pieces.append(data)
                self._size += len(data)
            self._ended = not message.get("more_body", False)
        self._tell()
        while self._size >= READ_AHEAD and not (self._ended or self._left.is_set()):
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _tell(self) -> None:
        _wake(self._news)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
