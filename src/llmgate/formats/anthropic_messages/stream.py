"""Reads streams of this format: a relay that looks as little as it can, and a decoder.

Source: Anthropic documentation, "Streaming messages". A stream is complete with ``message_stop`` and with nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data, event_name
from llmgate.spec import ChoiceDelta, ErrorDetail, GatewayChunk, Outcome, ProviderProtocolError, StreamReader

from .errors import error_in
from .events import DELTAS, BlockReader, Counts, stop_of
from .responses import is_answer

__all__ = ["MessageStreamReader"]

_PLAIN: Final = b"event: content_block_delta\ndata: {"
_STOP: Final = "message_stop"


class MessageStreamReader(StreamReader):
    """Reads one stream of message events. Usage is part of every stream, so that nothing is withheld."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self._splitter = EventSplitter()
        self._counts = Counts()
        self._blocks = BlockReader()
        self._terminal = b""
        self._broken: ProviderProtocolError | None = None

    @property
    def terminal(self) -> bytes:
        """The terminal marker's own bytes."""
        return self._terminal

    def relay(self, data: bytes) -> bytes:
        """The bytes of every whole event, less the terminal marker and error events."""
        held = self._splitter.pending
        events = self._split(data)
        kept: list[bytes] = []
        content = self.outcome.content
        for raw in events:
            if content and _is_plain(raw):
                kept.append(raw)
                continue
            if self._ended:
                break
            if self._guarded(self._observe, raw, kept):
                kept.append(raw)
            content = self.outcome.content and not self._ended
        if len(kept) == len(events) and not held and not self._splitter.pending and len(data) == sum(map(len, kept)):
            return data  # nothing is held back: the very bytes go on
        return b"".join(kept)

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole event, pings and the terminal marker included."""
        chunks: list[GatewayChunk] = []
        for raw in self._split(data):
            if self._ended:
                break
            chunk = self._guarded(self._decode, raw, chunks)
            if chunk is not None:
                chunks.append(chunk)
        return chunks

    def finish(self) -> None:
        """Say that the upstream has closed."""
        if self._broken is None and not self._ended and self._splitter.pending:
            # The terminal marker lacks only the blank line behind it: some servers close too soon.
            for raw in self._splitter.feed(b"\n\n"):
                if _names_stop(raw):
                    self._note_terminal(raw)
        if self._broken is not None:
            raise self._broken
        if not self.outcome.complete:
            message = "the stream ended before its terminal marker"
            raise ProviderProtocolError(message, code="incomplete_stream", retryable=True)

    @property
    def _ended(self) -> bool:
        return self.outcome.complete or self.outcome.error is not None or self._broken is not None

    def _split(self, data: bytes) -> list[bytes]:
        if self._broken is not None:
            raise self._broken
        try:
            return [] if self._ended else self._splitter.feed(data)
        except ValueError as error:
            self._broken = _broken(str(error))
            raise self._broken from None

    def _guarded(self, step: Callable[[bytes], Any], raw: bytes, before: Sequence[Any]) -> Any:
        """One event; when it is broken, what came before it goes out first and the error comes with the next call."""
        try:
            return step(raw)
        except ProviderProtocolError as error:
            self._broken = error
            if not before:
                raise
            return None

    def _observe(self, raw: bytes) -> bool:
        """Look at an event; whether it goes down to the client."""
        read = self._read(raw)
        if read is not None:
            self._note(*read)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        read = self._read(raw)
        if read is None:
            return GatewayChunk(final=self.outcome.complete, error=self.outcome.error, raw=raw)
        kind, value = read
        usage = self._note(kind, value)
        delta: ChoiceDelta | None = None
        if kind == "message_start":
            delta = ChoiceDelta(role="assistant")
        elif kind == "message_delta":
            delta = stop_of(value)
        elif kind in DELTAS:
            delta = self._blocks.read(kind, value)
        outcome = self.outcome
        return GatewayChunk(
            choices=() if delta is None else (delta,), id=outcome.response_id, model=outcome.model, usage=usage, raw=raw
        )

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None without any, at the terminal marker and at an error, which are noted.

        The kind stands in the event's name and in its data; copies of the format leave out the one or the other.
        """
        data = event_data(raw)
        if data is None or not data.strip():
            return None
        name = (event_name(raw) or b"").decode("utf-8", "replace")
        try:
            value = loads(data)
        except JSONError as error:
            if name == "error":
                self.outcome.error = ErrorDetail("the provider sent an error that is not JSON")
                return None
            raise _broken(f"an event is {error}") from None
        if not isinstance(value, dict):
            raise _broken("an event is not a JSON object")
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else name
        if kind == "error" or name == "error":
            detail = error_in({**value, "type": "error"}) or ErrorDetail("the provider sent an error")
            shown = data if isinstance(value.get("error"), dict) and value.get("type") == "error" else None
            self.outcome.error = attrs.evolve(detail, body=shown)
            return None
        if kind == _STOP:
            self._note_terminal(raw)
            return None
        return kind, value

    def _note_terminal(self, raw: bytes) -> None:
        self._terminal = raw
        self.outcome.complete = True

    def _note(self, kind: str, value: Mapping[str, Any]) -> Any:
        """Keep what an event tells; the usage so far where it tells any."""
        outcome = self.outcome
        usage = None
        if kind == "content_block_delta":
            outcome.content = outcome.content or _says_something(value.get("delta"))
        elif kind == "content_block_start":
            block = value.get("content_block")
            outcome.content = outcome.content or (isinstance(block, dict) and is_answer(block))
        elif kind == "message_start":
            message = value.get("message")
            message = message if isinstance(message, dict) else {}
            if isinstance(message.get("id"), str):
                outcome.response_id = message["id"] or None
            if isinstance(message.get("model"), str):
                outcome.model = message["model"] or None
            usage = self._counts.add(message.get("usage"))
        elif kind == "message_delta":
            usage = self._counts.add(value.get("usage"))
            outcome.finish_reason = stop_of(value).finish_reason or outcome.finish_reason
        outcome.usage = usage or outcome.usage
        return usage


def _says_something(delta: Any) -> bool:
    """Whether a delta carries text, thought or arguments; a signature alone is none of these."""
    return isinstance(delta, dict) and any(delta.get(name) for name in ("text", "thinking", "partial_json"))


def _is_plain(raw: bytes) -> bool:
    """Whether an event behind the first content is a delta of a block, which need not be read: most are.

    Its shape is looked at: one line with the name, one with the data, and nothing that could be an error.
    """
    return (
        raw.startswith(_PLAIN)
        and raw.endswith(b"}\n\n")
        and raw.find(b"\n", len(_PLAIN)) == len(raw) - 2
        and b"\r" not in raw
        and b'"error"' not in raw
    )


def _names_stop(raw: bytes) -> bool:
    data = event_data(raw)
    try:
        value = loads(data) if data else None
    except JSONError:
        return False
    return isinstance(value, dict) and value.get("type", (event_name(raw) or b"").decode("utf-8", "replace")) == _STOP


def _broken(reason: str) -> ProviderProtocolError:
    return ProviderProtocolError(f"the stream is not one of message events: {reason}", retryable=True)
