"""Writes streams of this format.

Source: Cohere documentation, "Streaming" (v2). Content blocks and calls follow one another and never interleave,
whatever the order in which their pieces come.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps, loads
from llmgate.codecs.sse import encode_event, event_data
from llmgate.spec import (
    ChoiceDelta,
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

from .errors import decode_error
from .parts import TOOL_PLAN
from .responses import encode_finish
from .usage import encode_usage

__all__ = ["EventStreamEncoder"]

_START: Final = {"role": "assistant", "content": [], TOOL_PLAN: "", "tool_calls": [], "citations": []}


@attrs.define
class _Call:
    """A call whose pieces come in; ``waiting`` are those not written yet."""

    id: str = ""
    name: str = ""
    waiting: list[str] = attrs.field(factory=list)


class EventStreamEncoder(StreamEncoder):
    """Writes one stream of events: the first answer of what it is given.

    Only the end of the stream tells that a call is whole, so that what comes beside an open one waits until then.
    """

    def __init__(self) -> None:
        self._id = ""
        self._begun = False
        self._open = ""
        self._next = {"content": 0, "call": 0}
        self._writing: _Call | None = None
        self._calls: dict[int, _Call] = {}
        self._later: list[Text | Reasoning | _Call] = []
        self._called = False
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return _failure(chunk.error.message)
        self._id = self._id or chunk.id or ""
        self._usage = chunk.usage or self._usage
        pieces: list[bytes] = []
        choices = [choice for choice in chunk.choices if choice.index == 0]
        if (choices or chunk.final) and not self._begun:
            self._begun = True
            pieces.append(_event("message-start", id=self._id, message=_START))
        for choice in choices:
            self._choice(choice, pieces)
        if chunk.final:
            self._flush_later(pieces)
            usage = {} if self._usage is None else {"usage": encode_usage(self._usage)}
            end = {"finish_reason": encode_finish(self._finish, calls=self._called), **usage}
            pieces.append(_written("message-end", {"id": self._id, "delta": end}))
        return b"".join(pieces)

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Keep count of the blocks that go down as they came; end the one whose end was changed."""
        before: list[bytes] = []
        if chunk.final:
            self._flush_later(before)
            return b"".join(before)
        data = event_data(chunk.raw)
        value = loads(data) if data else None
        kind = value.get("type") if isinstance(value, dict) else None
        index = value.get("index") if isinstance(value, dict) else None
        if kind == "message-start":
            self._begun = True
        elif kind in ("content-end", "tool-call-end") and isinstance(index, int):
            self._open, self._writing = "", None
            self._next["call" if kind == "tool-call-end" else "content"] = index + 1
        elif kind in ("content-start", "tool-call-start") and isinstance(index, int):
            self._close(before)
            self._open = _kind_of(value) if kind == "content-start" else "call"
            self._next["content" if kind == "content-start" else "call"] = index
            for choice in chunk.choices:
                for call in choice.tool_calls:
                    self._called = True
                    self._writing = self._calls[call.index] = _Call(call.id or "", call.name or "")
        return b"".join(before)

    def error(self, error: GatewayError) -> bytes:
        """An end that says it failed, in the provider's own words where they may be shown; nothing follows it."""
        detail = None
        if isinstance(error, ProviderError) and error.body is not None:
            detail = decode_error({}, error.body)
        return _failure(error.message if detail is None else detail.message)

    def _choice(self, choice: ChoiceDelta, pieces: list[bytes]) -> None:
        parts = list(choice.parts) + ([Text(choice.refusal)] if choice.refusal else [])
        for part in parts:
            if self._writing is None:
                self._part(part, pieces)
            else:
                self._later.append(part)
        for call in choice.tool_calls:
            self._call(call, pieces)
        self._finish = choice.finish_reason or self._finish

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if not part.text:
            return
        if isinstance(part, Text) and part.extra.get("field") == TOOL_PLAN:
            self._close(pieces)
            pieces.append(_event("tool-plan-delta", message={TOOL_PLAN: part.text}))
            return
        kind = "thinking" if isinstance(part, Reasoning) else "text"
        if self._open != kind:
            self._close(pieces)
            self._open = kind
            pieces.append(self._indexed("content-start", {"content": {"type": kind, kind: ""}}))
        pieces.append(self._indexed("content-delta", {"content": {kind: part.text}}))

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
        self._open, self._writing, self._called = "call", call, True
        function = {"name": call.name, "arguments": ""}
        begun = {"id": call.id or f"call_{self._next['call']}", "type": "function", "function": function}
        pieces.append(self._indexed("tool-call-start", {"tool_calls": begun}))

    def _flush(self, call: _Call, pieces: list[bytes]) -> None:
        text = "".join(call.waiting)
        call.waiting.clear()
        if text:
            pieces.append(self._indexed("tool-call-delta", {"tool_calls": {"function": {"arguments": text}}}))

    def _close(self, pieces: list[bytes]) -> None:
        if not self._open:
            return
        kind = "tool-call-end" if self._open == "call" else "content-end"
        counter = "call" if self._open == "call" else "content"
        pieces.append(_written(kind, {"index": self._next[counter]}))
        self._open, self._writing = "", None
        self._next[counter] += 1

    def _flush_later(self, pieces: list[bytes]) -> None:
        self._close(pieces)
        for one in self._later:
            if not isinstance(one, _Call):
                self._part(one, pieces)
            elif one.name or one.waiting:
                self._begin_call(one, pieces)
                self._flush(one, pieces)
                self._close(pieces)
        self._later.clear()
        self._close(pieces)

    def _indexed(self, kind: str, message: dict[str, Any]) -> bytes:
        return _event(kind, index=self._next["call" if kind.startswith("tool") else "content"], message=message)


def _kind_of(value: Any) -> str:
    """Which content block an event begins."""
    return "thinking" if b'"thinking"' in dumps(value) else "text"


def _event(kind: str, *, message: dict[str, Any], **more: Any) -> bytes:
    return _written(kind, {**more, "delta": {"message": message}})


def _written(kind: str, value: dict[str, Any]) -> bytes:
    return encode_event(dumps({"type": kind, **value}), kind.encode("ascii"))


def _failure(message: str) -> bytes:
    said = message.encode("utf-8", "replace").decode()
    return _written("message-end", {"delta": {"finish_reason": "ERROR", "error": said}})
