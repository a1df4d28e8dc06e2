"""Request bodies that go upstream as they come, instead of being read whole first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

__all__ = ["HeldUpload", "Upload"]


class Upload(Protocol):
    """A request body that is read while it is sent.

    It can be sent again as long as ``repeatable`` holds: until bytes have been taken that nobody keeps.
    """

    @property
    def media_type(self) -> str:
        """The ``content-type`` that it was sent with, parameters included; ``""`` for none."""
        ...

    @property
    def length(self) -> int | None:
        """Its size in bytes; None where the sender has not said, so that it goes on in chunks."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether ``pieces`` can be asked for once more, from the beginning."""
        ...

    @property
    def failure(self) -> Exception | None:
        """What reading it failed with: the sender was too slow, sent too much, left. None while nothing has."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body from its beginning, in pieces of any size; the next is not read before the last was taken.

        Raises:
            GatewayError: what ``failure`` says from then on.
        """
        ...


class HeldUpload:
    """An ``Upload`` whose bytes are all there.

    Args:
        data: The bytes.
        media_type: Their content type.
    """

    PIECE = 64 * 1024

    def __init__(self, data: bytes, media_type: str) -> None:
        self.data = data
        self.media_type = media_type
        self.length: int | None = len(data)
        self.repeatable = True
        self.failure: Exception | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes, in pieces."""
        view = memoryview(self.data)
        for start in range(0, len(view), self.PIECE):
            yield bytes(view[start : start + self.PIECE])
