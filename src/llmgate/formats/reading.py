"""What the stream readers of all formats have in common: frames cut whole, looked at as little as can be."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

from llmgate.spec import GatewayChunk, Outcome, ProviderProtocolError, StreamReader

__all__ = ["FAILED", "FrameReader", "Splitter"]


class Splitter(Protocol):
    """Cuts a byte stream into whole frames."""

    @property
    def pending(self) -> bool:
        """Whether an unfinished frame is held."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are whole with these bytes.

        Raises:
            ValueError: the bytes are no such stream, or a frame is too long.
        """
        ...


FAILED: Final = "the provider ended its answer with an error"
"""What is said of an answer whose end is a failure, where the provider says nothing more."""


class FrameReader(StreamReader):
    """Reads one stream. A format says what a frame tells, which ones need not be read, and when it is over.

    A frame that is broken does not take with it what came before it in the same piece: that goes out first, and the
    error comes with the next call.

    Args:
        splitter: Cuts the stream into frames.
        what: What the stream should be, for messages: ``message events``.
    """

    frame_end: ClassVar[bytes] = b"\n\n"
    """What ends a frame and may lack at the last one, since some servers close too soon; ``b""`` for nothing."""

    def __init__(self, splitter: Splitter, what: str) -> None:
        self.outcome = Outcome()
        self._splitter = splitter
        self._what = what
        self._terminal = b""
        self._failure: ProviderProtocolError | None = None

    @property
    def terminal(self) -> bytes:
        """The terminal marker's own bytes."""
        return self._terminal

    def relay(self, data: bytes) -> bytes:
        """The bytes of every whole frame, less the terminal marker, errors and what is withheld."""
        held = self._splitter.pending
        frames = self._split(data)
        kept: list[bytes] = []
        content, place, leapt = self.outcome.content, 0, False
        while place < len(frames):
            if content and not leapt:
                leapt = True
                plain = self._count_plain(frames, place)
                kept += frames[place : place + plain]
                place += plain
                continue
            raw = frames[place]
            place += 1
            if content and self._is_plain(raw):
                kept.append(raw)
                continue
            if self._ended:
                break
            if self._guarded(self._observe, raw, kept):
                kept.append(raw)
            content = self.outcome.content and not self._ended
        if len(kept) == len(frames) and not held and not self._splitter.pending and len(data) == sum(map(len, kept)):
            return data  # nothing is held back: the very bytes go on
        return b"".join(kept)

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole frame, those without content and the terminal marker included.

        A frame that is withheld from the client has no ``raw``: it tells what it tells and sends nothing.
        """
        chunks: list[GatewayChunk] = []
        for raw in self._split(data):
            if self._ended:
                break
            chunk = self._guarded(self._decode, raw, chunks)
            if chunk is not None:
                chunks.append(chunk)
        return chunks

    def finish(self) -> None:
        """Say that the upstream has closed; a terminal marker without its end is still one.

        Raises:
            ProviderProtocolError: the stream ended without its terminal marker.
        """
        if self._failure is None and not self._ended and self.frame_end and self._splitter.pending:
            for raw in self._splitter.feed(self.frame_end):
                if self._ends(raw):
                    self._note_terminal(raw)
        if self._failure is not None:
            raise self._failure
        if not self.outcome.complete and not self._splitter.pending and self._closes_well():
            self.outcome.complete = True
        if not self.outcome.complete:
            message = "the stream ended before its terminal marker"
            raise ProviderProtocolError(message, code="incomplete_stream", retryable=True)

    @abstractmethod
    def _observe(self, raw: bytes) -> bool:
        """Look at a frame, and keep in ``outcome`` what it tells; whether it goes down to the client.

        Raises:
            ProviderProtocolError: it is not one of this format (``_broken``).
        """

    @abstractmethod
    def _decode(self, raw: bytes) -> GatewayChunk:
        """Look at a frame as ``_observe`` does, and decode it."""

    def _is_plain(self, raw: bytes) -> bool:  # noqa: ARG002 - for formats that can tell
        """Whether a frame behind the first content is seen, without being read, to tell nothing but more content."""
        return False

    def _count_plain(self, frames: Sequence[bytes], start: int) -> int:  # noqa: ARG002 - for formats that can tell
        """How many frames from ``start`` on are seen at one look to be plain; those behind them may be, too."""
        return 0

    def _ends(self, raw: bytes) -> bool:  # noqa: ARG002 - for formats with a terminal marker
        """Whether the last frame, whose end was lacking, is the terminal marker."""
        return False

    def _closes_well(self) -> bool:
        """For formats without a terminal marker: whether the stream may end here."""
        return False

    def _note_terminal(self, raw: bytes) -> None:
        """The terminal marker has come."""
        self._terminal = raw
        self.outcome.complete = True

    def _broken(self, reason: str) -> ProviderProtocolError:
        """The error for a stream that is not what it should be."""
        return ProviderProtocolError(f"the stream is not one of {self._what}: {reason}", retryable=True)

    @property
    def _ended(self) -> bool:
        return self.outcome.complete or self.outcome.error is not None or self._failure is not None

    def _split(self, data: bytes) -> list[bytes]:
        if self._failure is not None:
            raise self._failure
        try:
            return [] if self._ended else self._splitter.feed(data)
        except ValueError as error:
            self._failure = self._broken(str(error))
            raise self._failure from None

    def _guarded(self, step: Callable[[bytes], Any], raw: bytes, before: Sequence[Any]) -> Any:
        """One frame; when it is broken, what came before it goes out first and the error comes with the next call."""
        try:
            return step(raw)
        except ProviderProtocolError as error:
            self._failure = error
            if not before:
                raise
            return None
