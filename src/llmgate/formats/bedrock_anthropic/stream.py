"""Streams: a message event in every chunk of AWS's own encoding.

Source: Amazon Bedrock API reference, "InvokeModelWithResponseStream": ``{"bytes": "<base64 of the event's JSON>"}``.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, ClassVar, Final

import attrs

from llmgate.codecs.eventstream import MAX_MESSAGE_BYTES, MessageSplitter, decode_message
from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.codecs.sse import EventSplitter, encode_event as encode_sse, event_data
from llmgate.formats.anthropic_messages.encoder import MessageStreamEncoder
from llmgate.formats.anthropic_messages.stream import MessageStreamReader
from llmgate.formats.bedrock_converse.encoder import encode_event, encode_exception
from llmgate.formats.bedrock_converse.errors import encode_error, type_of
from llmgate.formats.bedrock_converse.stream import exception_in
from llmgate.spec import GatewayChunk, GatewayError, ProviderError, StreamEncoder

__all__ = ["CHUNK", "InvokeStreamEncoder", "InvokeStreamReader", "data_in"]

CHUNK: Final = "chunk"
"""The type of every event."""


class InvokeStreamReader(MessageStreamReader):
    """Reads one stream of message events in chunks."""

    frame_end: ClassVar[bytes] = b""

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        super().__init__()
        self._splitter = MessageSplitter(max_message_bytes)

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None without any, at the terminal marker and at an error."""
        try:
            message = decode_message(raw)
        except ValueError as error:
            raise self._broken(str(error)) from None
        self.outcome.error = exception_in(message.headers, message.payload)
        if self.outcome.error is not None or message.headers.get(":event-type") != CHUNK:
            return None
        data = data_in(message.payload)
        if data is None:
            raise self._broken("a chunk holds no base64")
        read = super()._read(encode_sse(data))
        if self.outcome.complete:
            self._note_terminal(raw)
        self._reword_error()
        return read

    def _reword_error(self) -> None:
        """What Anthropic's clients are shown of an error is not what AWS's are."""
        error = self.outcome.error
        if error is not None:
            self.outcome.error = attrs.evolve(error, body=dumps({"message": error.message}))

    def _is_plain(self, raw: bytes) -> bool:  # noqa: ARG002 - what an event is stands inside its base64
        return False

    def _ends(self, raw: bytes) -> bool:  # noqa: ARG002 - a message that is cut is none
        return False


class InvokeStreamEncoder(StreamEncoder):
    """Writes one stream of message events in chunks."""

    def __init__(self) -> None:
        self._inner = MessageStreamEncoder()

    @property
    def unsaid(self) -> set[str]:
        """What of the answer this format has had no words for so far."""
        return self._inner.unsaid

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return self.error(ProviderError(chunk.error.message, upstream_status=chunk.error.status))
        return _in_chunks(self._inner.encode(chunk))

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Keep count of the blocks that go down as they came; close the one whose end was changed."""
        data = data_in(decode_message(chunk.raw).payload)
        plain = attrs.evolve(chunk, raw=b"" if data is None else encode_sse(data))
        return _in_chunks(self._inner.passed(plain))

    def error(self, error: GatewayError) -> bytes:
        """The error as an exception, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_exception(type_of(error, streamed=True), encode_error(error) if shown is None else shown)


def _in_chunks(events: bytes) -> bytes:
    return b"".join(
        encode_event(CHUNK, {"bytes": base64.b64encode(data).decode()})
        for data in map(event_data, EventSplitter().feed(events))
        if data is not None
    )


def data_in(payload: bytes) -> bytes | None:
    """The JSON in a chunk; None where there is none."""
    try:
        value = loads(payload)
        return base64.b64decode(value["bytes"], validate=True) if isinstance(value, dict) else None
    except (JSONError, KeyError, TypeError, binascii.Error, ValueError):
        return None
