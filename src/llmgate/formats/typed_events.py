"""Streams of events that say what they are in ``type``: transcripts, speech, pictures that take shape.

Source: OpenAI API reference, the streaming events of audio and images. There is no marker that ends every one of them:
the last event is of a type that ends with ``.done`` or ``.completed``, several may come (one for each picture), and
some servers send ``data: [DONE]`` behind them. So the last such event is held until the stream ends or goes on: a
stream that closes behind it is whole, one that closes behind anything else was cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data, event_name
from llmgate.formats.openai_chat.errors import error_in
from llmgate.formats.sessions import added
from llmgate.spec import ErrorDetail, GatewayChunk, Outcome, ProviderProtocolError, StreamReader, Usage

__all__ = ["TypedEventReader"]

_DONE: Final = b"[DONE]"
_LAST: Final = (".done", ".completed")


class TypedEventReader(StreamReader):
    """Reads one stream of typed events.

    Args:
        usage_in: Finds the usage in an event.
    """

    def __init__(self, usage_in: Callable[[Mapping[str, Any]], Usage | None]) -> None:
        self.outcome = Outcome()
        self._usage_in = usage_in
        self._splitter = EventSplitter()
        self._held = b""

    @property
    def terminal(self) -> bytes:
        """The last event, with the marker behind it where one came."""
        return self._held if self.outcome.complete else b""

    def relay(self, data: bytes) -> bytes:
        """The bytes of every whole event, less one that may be the last, and error events."""
        return b"".join(self._events(data))

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole event: its bytes and no more, since these streams have no canonical form."""
        chunks = [GatewayChunk(raw=raw) for raw in self._events(data)]
        if self.outcome.error is not None:
            chunks.append(GatewayChunk(error=self.outcome.error))
        elif self.outcome.complete:
            chunks.append(GatewayChunk(final=True, raw=self._held))
        return chunks

    def finish(self) -> None:
        """Say that the upstream has closed.

        Raises:
            ProviderProtocolError: the last event was none that ends a stream, or not whole.
        """
        if self._splitter.pending:
            for raw in self._splitter.feed(b"\n\n"):
                self._take(raw)
        if not self._held or self.outcome.error is not None:
            message = "the stream ended before its last event"
            raise ProviderProtocolError(message, code="incomplete_stream", retryable=True)
        self.outcome.complete = True

    def _is_over(self) -> bool:
        return self.outcome.complete or self.outcome.error is not None

    def _events(self, data: bytes) -> list[bytes]:
        if self._is_over():
            return []
        try:
            events = self._splitter.feed(data)
        except ValueError as error:
            raise ProviderProtocolError(str(error), retryable=True) from None
        passed = []
        for raw in events:
            passed += self._take(raw)
            if self._is_over():
                break
        return passed

    def _take(self, raw: bytes) -> list[bytes]:
        """What goes down now that an event has come."""
        data = (event_data(raw) or b"").strip()
        if data == _DONE:
            self._held += raw
            self.outcome.complete = True
            return []
        if not data:
            if self._held:
                self._held += raw  # a comment, or a blank line, behind what may be the last
                return []
            return [raw]
        value = self._value(raw, data)
        if value is None:
            return []
        before, self._held = self._held, b""
        if self._note(value):
            self._held = raw
            return [before] if before else []
        return [before, raw] if before else [raw]

    def _value(self, raw: bytes, data: bytes) -> Mapping[str, Any] | None:
        """The JSON of an event; None for an error, which is noted."""
        try:
            value = loads(data)
        except JSONError as error:
            raise ProviderProtocolError(f"an event is {error}", retryable=True) from None
        if not isinstance(value, dict):
            raise ProviderProtocolError("an event is not a JSON object", retryable=True)
        self.outcome.error = error_in(value)
        if self.outcome.error is None and (value.get("type") == "error" or event_name(raw) == b"error"):
            message = value.get("message")
            self.outcome.error = ErrorDetail(message if isinstance(message, str) else "the provider sent an error")
        return value if self.outcome.error is None else None

    def _note(self, value: Mapping[str, Any]) -> bool:
        """Note what an event tells; whether it may be the last."""
        kind = value.get("type")
        last = isinstance(kind, str) and kind.endswith(_LAST)
        outcome = self.outcome
        outcome.content = True
        if isinstance(value.get("model"), str):
            outcome.model = value["model"]
        if last:
            usage = self._usage_in(value)
            outcome.usage = outcome.usage if usage is None else added(outcome.usage, usage)  # of several pictures
        return last
