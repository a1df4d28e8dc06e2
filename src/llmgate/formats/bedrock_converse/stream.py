"""Reads streams of this format: a relay that looks as little as it can, and a decoder.

Source: Amazon Bedrock API reference, "ConverseStream". The answer has ended with ``messageStop``, but what it cost
follows in ``metadata``: the stream is complete with both. One that closes between the two has ended well, only without
its usage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs

from llmgate.codecs.eventstream import MAX_MESSAGE_BYTES, HeaderValue, MessageSplitter, decode_message, message_headers
from llmgate.codecs.jsons import JSONError, loads
from llmgate.formats.reading import FrameReader
from llmgate.spec import ChoiceDelta, ErrorDetail, GatewayChunk

from .errors import detail_of
from .events import DELTAS, BlockReader, says_something, stop_of
from .usage import decode_usage, service_tier

__all__ = ["ConverseStreamReader", "exception_in"]

_DELTA: Final = "contentBlockDelta"


class ConverseStreamReader(FrameReader):
    """Reads one stream of Converse events. Usage is part of every stream, so that nothing is withheld."""

    frame_end: ClassVar[bytes] = b""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        super().__init__(MessageSplitter(max_message_bytes), "Converse events")
        self._blocks = BlockReader(self.outcome.unread)
        self._stopped = False
        self._told = False

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole event; the one that completes the stream is followed by the end itself.

        What that event tells and its bytes are two chunks: the record is sealed between them.
        """
        done = self.outcome.complete
        chunks = super().decode(data)
        if self.outcome.complete and not done:
            return [*chunks, GatewayChunk(final=True, raw=self._terminal)]
        return chunks

    def _observe(self, raw: bytes) -> bool:
        read = self._read(raw)
        if read is not None:
            self._note(*read, raw)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        read = self._read(raw)
        if read is None:
            return GatewayChunk(error=self.outcome.error, raw=raw)
        kind, value = read
        self._note(kind, value, raw)
        delta: ChoiceDelta | None = None
        if kind == "messageStart":
            delta = ChoiceDelta(role="assistant")
        elif kind in DELTAS:
            delta = self._blocks.read(kind, value)
        elif kind == "messageStop":
            delta = stop_of(value)
        usage = self.outcome.usage if kind == "metadata" else None
        choices = () if delta is None else (delta,)
        return GatewayChunk(choices, usage=usage, raw=b"" if self.outcome.complete else raw)

    def _is_plain(self, raw: bytes) -> bool:
        try:
            headers = message_headers(raw)
        except ValueError:
            return False
        return headers.get(":event-type") == _DELTA and headers.get(":message-type") == "event"

    def _closes_well(self) -> bool:
        return self._stopped

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None at an error, which is noted, and where there is no event."""
        try:
            message = decode_message(raw)
        except ValueError as error:
            raise self._broken(str(error)) from None
        self.outcome.error = exception_in(message.headers, message.payload)
        if self.outcome.error is not None:
            return None
        kind = message.headers.get(":event-type")
        try:
            value = loads(message.payload) if message.payload else {}
        except JSONError as error:
            raise self._broken(f"an event is {error}") from None
        if not isinstance(value, dict):
            raise self._broken("an event is not a JSON object")
        return str(kind), value

    def _note(self, kind: str, value: Mapping[str, Any], raw: bytes) -> None:
        """Keep what an event tells."""
        outcome = self.outcome
        if kind in DELTAS:
            outcome.content = outcome.content or says_something(kind, value)
        elif kind == "messageStop":
            self._stopped = True
            outcome.finish_reason = stop_of(value).finish_reason
        elif kind == "metadata":
            self._told = True
            outcome.usage = decode_usage(value.get("usage")) or outcome.usage
            outcome.service_tier = service_tier(value.get("serviceTier"))
        if self._stopped and self._told:
            self._note_terminal(raw)


def exception_in(headers: Mapping[str, HeaderValue], payload: bytes) -> ErrorDetail | None:
    """The exception that a message is; None for an event.

    Source: Smithy specification, "Amazon Event Stream": modelled exceptions have a type and a body, others a code and a
    message in the headers.
    """
    sort = headers.get(":message-type")
    if sort == "error":
        code, text = str(headers.get(":error-code", "")), headers.get(":error-message")
        return detail_of({"message": text}, code) or ErrorDetail("the provider sent an error")
    if sort != "exception":
        return None
    try:
        value = loads(payload)
    except JSONError:
        value = None
    named = str(headers.get(":exception-type", ""))
    detail = detail_of(value if isinstance(value, dict) else {}, named) or ErrorDetail("the provider sent an error")
    return attrs.evolve(detail, body=payload) if isinstance(value, dict) and "message" in value else detail
