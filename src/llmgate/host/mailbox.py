"""A request's messages between our own connection and the application.

It is what the application calls ``receive`` on. An application that knows it (``Mailbox.behind``) can do two things
that ASGI has no words for: take what has come without waiting, and be called when the client leaves, without a task
that waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from starlette.types import Message, Receive

__all__ = ["READ_AHEAD", "Mailbox"]

READ_AHEAD: Final = 256 * 1024
"""Bytes of a request that are held for an application that does not take them yet."""

LOST: Final = 1006
"""The code of a WebSocket that broke without a close frame."""

EACH: Final = 512
"""Bytes that a message of a WebSocket counts for beside its payload, so that tiny ones cannot fill the memory."""


class Mailbox:
    """The messages of one request; a departure is never stuck behind a full box."""

    __slots__ = ("_awake", "_left", "_messages", "_on_departure", "_room", "_shut", "_size")

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._size = 0
        self._shut = False
        self._left = False
        self._awake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._on_departure: Callable[[], None] | None = None

    @classmethod
    def behind(cls, receive: Receive) -> Mailbox | None:
        """The mailbox whose ``get`` an application was given; None where another server, or a middleware, stands."""
        owner = getattr(receive, "__self__", None)
        return owner if isinstance(owner, cls) and receive == owner.get else None

    async def put(self, message: Message) -> None:
        """Hand over a message; waits while too much of a body lies unread."""
        if message["type"] == "http.disconnect":
            self.leave()
        elif message["type"] == "websocket.disconnect":
            self._messages.append(message)  # behind what came before it, and never waiting for room
            self._wake()
            if message["code"] == LOST:
                self._notify()
        elif not (self._shut or self._left):
            self.post(message)
            if self.full:
                await self.room()

    def post(self, message: Message) -> None:
        """Hand over a piece of a request without waiting; whoever does looks whether the box is ``full``."""
        if not (self._shut or self._left):
            self._messages.append(message)
            self._size += _weight(message)
            self._wake()

    @property
    def full(self) -> bool:
        """Whether more lies unread than an application should have to hold."""
        return self._size > READ_AHEAD and not (self._shut or self._left)

    async def room(self) -> None:
        """Wait until there is room for more."""
        while self.full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    async def get(self) -> Message:
        """The next message; a departure as soon as it is known."""
        while True:
            message = self.take()
            if message is not None:
                return message
            self._awake = asyncio.get_running_loop().create_future()
            await self._awake

    def take(self) -> Message | None:
        """The next message if it is there already."""
        if self._left:
            return {"type": "http.disconnect"}
        if not self._messages:
            return None
        message = self._messages.popleft()
        self._size -= _weight(message)
        self._make_room()
        return message

    def on_departure(self, notice: Callable[[], None]) -> None:
        """Call a function once when the client leaves, now if it has left; never after the application returned."""
        if self._left:
            notice()
        else:
            self._on_departure = notice

    def shut(self) -> None:
        """Nobody will take another message."""
        self._shut = True
        self._on_departure = None
        self._messages.clear()
        self._make_room()

    def leave(self) -> None:
        """The client has left, or is about to be left: whoever asks hears of it at once."""
        self._left = True
        self._wake()
        self._make_room()
        self._notify()

    def _wake(self) -> None:
        if self._awake is not None and not self._awake.done():
            self._awake.set_result(None)

    def _notify(self) -> None:
        notice, self._on_departure = self._on_departure, None
        if notice is not None:
            notice()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def _weight(message: Message) -> int:
    """How much of the box a message fills."""
    if message["type"] == "websocket.receive":
        return EACH + len(message.get("bytes") or message.get("text") or b"")
    return len(message.get("body", b""))
