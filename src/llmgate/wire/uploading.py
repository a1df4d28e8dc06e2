"""A request body that is written while it comes: aiohttp's side of ``spec.Upload``."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Self, cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from llmgate.spec import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from types import TracebackType

__all__ = ["UploadPayload"]


class UploadPayload(Payload):
    """Writes an upload, the next piece when the provider has taken the last; used around the wait for the head.

    The time that the sender of the body takes is no fault of the provider's. So the clock stands still while a piece is
    waited for, and the provider has ``patience`` to take each piece and, after the last, to begin its answer.

    Args:
        upload: What is written.
        patience: Seconds; None for no bound.
    """

    def __init__(self, upload: Upload, patience: float | None) -> None:
        super().__init__(upload, content_type=upload.media_type or "application/octet-stream")
        self._size = upload.length
        self._upload = upload
        self._patience = patience
        self._clock: asyncio.Timeout | None = None

    async def __aenter__(self) -> Self:
        self._clock = await asyncio.timeout(None).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        clock, self._clock = self._clock, None
        assert clock is not None, "it was entered"
        await clock.__aexit__(kind, failure, traceback)

    @property
    def consumed(self) -> bool:
        """Whether aiohttp must not write it once more by itself."""
        return not self._upload.repeatable

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - aiohttp's interface
        """It is never held as a whole."""
        raise TypeError("an upload is written, not decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it."""
        pieces = cast("AsyncGenerator[bytes, None]", self._upload.pieces())
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self._expect(self._patience)
                    await writer.write(piece)
                    self._expect(None)
        except Exception:
            if self._clock is None and writer.transport is not None:
                writer.transport.close()  # the answer has begun: whoever reads it must not wait for the rest of this
            raise
        self._expect(self._patience)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002
        """Write all of it: its length, where it has one, is what it says of itself."""
        await self.write(writer)

    def _expect(self, seconds: float | None) -> None:
        """Have the provider do its part within so many seconds, unless its answer has begun already."""
        if self._clock is not None:
            when = None if seconds is None else asyncio.get_running_loop().time() + seconds
            self._clock.reschedule(when)
