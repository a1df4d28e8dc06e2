"""Writes streams of this format.

Source: Amazon Bedrock API reference, "ConverseStream". Blocks follow one another and never interleave, whatever the
order in which their pieces come, since clients gather one block at a time.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import attrs

from llmgate.codecs.eventstream import decode_message, encode_headers, encode_message
from llmgate.codecs.jsons import dumps, loads
from llmgate.formats.anthropic_messages.parts import REDACTED
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    GatewayError,
    ProviderError,
    Reasoning,
    StreamEncoder,
    Text,
    ToolCallDelta,
    Usage,
)

from .errors import encode_error, type_of
from .parts import encode_blocks
from .responses import NO_METRICS, encode_stop
from .usage import encode_usage

__all__ = ["HEARTBEAT", "ConverseStreamEncoder", "encode_event", "encode_exception"]

_JSON: Final = "application/json"


def encode_event(kind: str, value: dict[str, Any]) -> bytes:
    """An event as a message."""
    return encode_message(_event_headers(kind), dumps(value))


@functools.lru_cache(maxsize=32)
def _event_headers(kind: str) -> bytes:
    return encode_headers({":event-type": kind, ":content-type": _JSON, ":message-type": "event"})


def encode_exception(kind: str, body: bytes) -> bytes:
    """An exception as a message: ``ThrottlingException`` is called ``throttlingException`` there."""
    name = kind[:1].lower() + kind[1:]
    return encode_message({":exception-type": name, ":content-type": _JSON, ":message-type": "exception"}, body)


HEARTBEAT: Final = encode_event("heartbeat", {})
"""An event of a type that no client knows, which all of them pass over."""


@attrs.define
class _Call:
    """A tool call whose pieces come in; ``waiting`` are those not written yet."""

    id: str = ""
    name: str = ""
    waiting: list[str] = attrs.field(factory=list)


class ConverseStreamEncoder(StreamEncoder):
    """Writes one stream of Converse events: the first answer of what it is given.

    Nothing is said of the end before it is certain: stop reason and usage go out together. Only the end of the stream
    tells that a call is whole, so that what comes beside an open one waits until then.
    """

    def __init__(self) -> None:
        self._begun = False
        self._ended = False
        self._next = 0
        self._open: str = ""
        self._writing: _Call | None = None
        self._calls: dict[int, _Call] = {}
        self._later: list[Text | Reasoning | _Call] = []
        self._written = 0
        self._finish: FinishReason | None = None
        self._refused = False
        self._usage: Usage | None = None

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return _exception_of(chunk.error)
        self._usage = chunk.usage or self._usage
        pieces: list[bytes] = []
        choices = [choice for choice in chunk.choices if choice.index == 0]
        if (choices or chunk.final) and not self._begun:
            self._begun = True
            pieces.append(encode_event("messageStart", {"role": "assistant"}))
        for choice in choices:
            self._choice(choice, pieces)
        if chunk.final:
            self._end(pieces)
            pieces.append(encode_event("metadata", {"usage": encode_usage(self._usage), "metrics": NO_METRICS}))
        return b"".join(pieces)

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Keep count of the blocks that go down as they came; close the one whose end was changed."""
        before: list[bytes] = []
        if chunk.final:
            self._end(before)
            return b"".join(before)
        message = decode_message(chunk.raw)
        kind = message.headers.get(":event-type")
        index = _index_in(message.payload)
        if kind == "messageStart":
            self._begun = True
        elif kind == "messageStop":
            self._flush_all(before)
            self._ended = True
        elif kind == "contentBlockStop" and index is not None:
            self._open, self._writing, self._next = "", None, index + 1
        elif kind == "contentBlockStart" and index is not None:
            self._close(before)
            self._open, self._next = "toolUse", index
            for choice in chunk.choices:
                for call in choice.tool_calls:
                    self._writing = self._calls[call.index] = _Call(call.id or "", call.name or "")
                    self._written += 1
        elif kind == "contentBlockDelta" and index is not None and not (self._open and index == self._next):
            self._close(before)
            self._open, self._next = _kind_of(chunk), index
        return b"".join(before)

    def error(self, error: GatewayError) -> bytes:
        """The error as an exception, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_exception(type_of(error, streamed=True), encode_error(error) if shown is None else shown)

    def _choice(self, choice: ChoiceDelta, pieces: list[bytes]) -> None:
        parts = list(choice.parts)
        if choice.refusal:
            self._refused = True
            parts.append(Text(choice.refusal))
        for part in parts:
            if self._writing is None:
                self._part(part, pieces)
            else:
                self._later.append(part)
        for call in choice.tool_calls:
            self._call(call, pieces)
        self._finish = choice.finish_reason or self._finish

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if isinstance(part, Reasoning):
            self._thought(part, pieces)
        elif part.text:
            self._switch("text", pieces)
            pieces.append(self._delta({"text": part.text}))

    def _thought(self, part: Reasoning, pieces: list[bytes]) -> None:
        if part.extra.get("type") == REDACTED:
            self._close(pieces)
            self._open = REDACTED
            pieces.append(self._delta(encode_blocks([part])[0]))
            self._close(pieces)
            return
        if not part.text and not part.signature:
            return
        self._switch("reasoning", pieces)
        if part.text:
            pieces.append(self._delta({"reasoningContent": {"text": part.text}}))
        if part.signature:
            pieces.append(self._delta({"reasoningContent": {"signature": part.signature}}))
            self._close(pieces)

    def _call(self, delta: ToolCallDelta, pieces: list[bytes]) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = self._calls[delta.index] = _Call()
            if self._writing is not None or not delta.name:
                self._later.append(call)
        call.id = call.id or delta.id or ""
        call.name = call.name or delta.name or ""
        if delta.arguments:
            call.waiting.append(delta.arguments)
        if self._writing is None and call.name:
            self._later = [one for one in self._later if one is not call]
            self._begin_call(call, pieces)
        if self._writing is call:
            self._flush(call, pieces)

    def _begin_call(self, call: _Call, pieces: list[bytes]) -> None:
        self._close(pieces)
        self._open = "toolUse"
        start = {"toolUse": {"toolUseId": call.id or f"call_{self._next}", "name": call.name}}
        pieces.append(encode_event("contentBlockStart", {"start": start, "contentBlockIndex": self._next}))
        self._writing = call
        self._written += 1

    def _flush(self, call: _Call, pieces: list[bytes]) -> None:
        text = "".join(call.waiting)
        call.waiting.clear()
        if text:
            pieces.append(self._delta({"toolUse": {"input": text}}))

    def _switch(self, kind: str, pieces: list[bytes]) -> None:
        """Go on in a block of a kind; such blocks have no event that begins them."""
        if self._open != kind:
            self._close(pieces)
            self._open = kind

    def _close(self, pieces: list[bytes]) -> None:
        if not self._open:
            return
        self._writing = None
        pieces.append(encode_event("contentBlockStop", {"contentBlockIndex": self._next}))
        self._open = ""
        self._next += 1

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return encode_event("contentBlockDelta", {"delta": delta, "contentBlockIndex": self._next})

    def _end(self, pieces: list[bytes]) -> None:
        """Everything before the usage, unless it has gone down already."""
        if self._ended:
            return
        self._ended = True
        self._flush_all(pieces)
        stop = encode_stop(self._finish, calls=self._written > 0, refused=self._refused)
        pieces.append(encode_event("messageStop", {"stopReason": stop}))

    def _flush_all(self, pieces: list[bytes]) -> None:
        """Whatever has waited for the end."""
        self._close(pieces)
        for one in self._later:
            if not isinstance(one, _Call):
                self._part(one, pieces)
            elif one.name or one.waiting:
                self._begin_call(one, pieces)
                self._flush(one, pieces)
                self._close(pieces)
        self._close(pieces)


def _exception_of(detail: ErrorDetail) -> bytes:
    return encode_exception(detail.type or "InternalServerException", dumps({"message": detail.message}))


def _index_in(payload: bytes) -> int | None:
    value = loads(payload) if payload else None
    index = value.get("contentBlockIndex") if isinstance(value, dict) else None
    return index if isinstance(index, int) else None


def _kind_of(chunk: GatewayChunk) -> str:
    """The kind of block that a piece which goes down as it came belongs to."""
    parts = [part for choice in chunk.choices for part in choice.parts]
    return "reasoning" if parts and isinstance(parts[0], Reasoning) else "text"
