"""A stream as one JSON array, element by element: what Google's servers send to clients who do not ask for events.

Source: Gemini API reference, "streamGenerateContent": without ``alt=sse`` the body is an array of responses.
"""

from __future__ import annotations

from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats.gemini_generate_content import GeminiGenerateContentFormat
from llmgate.spec import Format, GatewayError, StreamEncoder

from .rewriting import Rewriter, RewrittenFormat

__all__ = ["JSONArray", "JSONArrayFormat"]


class JSONArray(Rewriter):
    """Turns whole events into elements of an array.

    Args:
        encoder: Writes an error as an event.
    """

    def __init__(self, encoder: StreamEncoder) -> None:
        self._encoder = encoder
        self._splitter = EventSplitter()
        self._begun = False

    def rewritten(self, events: bytes) -> bytes:
        """The elements that events hold, each with what stands before it."""
        pieces: list[bytes] = []
        for raw in self._splitter.feed(events):
            data = event_data(raw)
            if data is None or not data.strip():
                continue
            pieces += (b",\r\n" if self._begun else b"[", data)
            self._begun = True
        return b"".join(pieces)

    def end(self) -> bytes:
        """What closes the array."""
        return b"]" if self._begun else b"[]"

    def error(self, error: GatewayError) -> bytes:
        """The error as the last element."""
        return self.rewritten(self._encoder.error(error)) + b"]"


class JSONArrayFormat(RewrittenFormat, GeminiGenerateContentFormat):
    """Gemini's format for one answer whose stream is an array.

    Args:
        wire_format: The format of the elements.
    """

    stream_media_type = "application/json"

    def __init__(self, wire_format: Format) -> None:
        self.rewriter = JSONArray(wire_format.stream_encoder())

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """The array that has been begun."""
        return self.rewriter
