"""Writes streams of this format.

Source: Anthropic documentation, "Streaming messages". The official clients drop events without a name, so that each has
its type twice; blocks follow one another and never interleave, whatever the order in which their pieces come.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps, loads
from llmgate.codecs.sse import encode_event, event_data
from llmgate.formats.block_encoder import BlockEncoder, OpenCall
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.part_proofs import signature_of
from llmgate.formats.thought_signatures import marked_id
from llmgate.spec import (
    ErrorDetail,
    GatewayChunk,
    GatewayError,
    ProviderError,
    Reasoning,
    Text,
    ToolCallDelta,
    Usage,
)

from .citations import encode_citations
from .errors import encode_error
from .parts import REDACTED
from .responses import encode_stop
from .usage import encode_usage

__all__ = ["PING", "MessageStreamEncoder"]

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_TERMINAL: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_TEXT: Final = {"type": "text", "text": ""}
_THINKING: Final = {"type": "thinking", "thinking": "", "signature": ""}


class MessageStreamEncoder(BlockEncoder):
    """Writes one stream of message events: the first answer of what it is given.

    Nothing is said of the end before it is certain: stop reason, usage and terminal marker go out together.
    """

    def __init__(self) -> None:
        super().__init__()
        self._id = ""
        self._model = ""
        self._ended = False
        self._next = 0

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return _event("error", {"error": _error_value(chunk.error)})
        self._id = self._id or chunk.id or ""
        self._model = self._model or chunk.model or ""
        self._usage = chunk.usage or self._usage
        pieces: list[bytes] = []
        choices = [choice for choice in chunk.choices if choice.index == 0]
        if (choices or chunk.final) and not self._begun:
            pieces.append(self._start())
        for choice in choices:
            self._choice(choice, pieces)
        if chunk.final:
            self._end(pieces)
            pieces.append(_TERMINAL)
        return b"".join(pieces)

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Keep count of the blocks that go down as they came; close the one whose end was changed."""
        before: list[bytes] = []
        if chunk.final:
            self._end(before)
            return b"".join(before)
        data = event_data(chunk.raw)
        value = loads(data) if data else None
        if not isinstance(value, dict):
            return b""
        self._usage = chunk.usage or self._usage
        index, kind = value.get("index"), value.get("type")
        if kind == "message_start":
            self._begun = True
        elif kind == "message_delta":
            self._close(before)
            self._ended = True
        elif kind == "content_block_stop" and isinstance(index, int):
            self._open, self._writing, self._next = "", None, index + 1
        elif kind == "content_block_start" and isinstance(index, int):
            self._close(before)
            self._open, self._next = str((value.get("content_block") or {}).get("type")), index
            self._adopt(chunk)
        return b"".join(before)

    def error(self, error: GatewayError) -> bytes:
        """The error as an event, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_event(encode_error(error) if shown is None else shown, b"error")

    def _start(self) -> bytes:
        self._begun = True
        known = self._usage or Usage()
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": encode_usage(attrs.evolve(known, output_tokens=0, reasoning=None, cost_nano=None)),
        }
        return _event("message_start", {"message": message})

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if isinstance(part, Reasoning):
            self._thought(part, pieces)
        elif part.text:
            self._begin_text(part, pieces)
            pieces.append(self._delta({"type": "text_delta", "text": part.text}))
        if isinstance(part, Text) and part.citations:
            self._cite(part, pieces)

    def _begin_text(self, part: Text, pieces: list[bytes]) -> None:
        if self._open != "text" or self._begins_anew(part):
            self._begin("text", _TEXT, pieces)
        self._words.add(part.text)

    def _cite(self, part: Text, pieces: list[bytes]) -> None:
        """Tell what stands behind the block that is being written, which ends with that."""
        written = encode_citations(self._cited_here(part))
        pieces += [self._delta({"type": "citations_delta", "citation": one}) for one in written]
        if len(written) < len(part.citations):
            self.unsaid.add(UNSAID_CITATIONS)
        if written:
            self._close(pieces)

    def _thought(self, part: Reasoning, pieces: list[bytes]) -> None:
        if part.extra.get("type") == REDACTED:
            self._begin(REDACTED, dict(part.extra), pieces)
            self._close(pieces)
            return
        signature = signature_of(part)
        if not part.text and not signature:
            return
        if self._open != "thinking":
            self._begin("thinking", _THINKING, pieces)
        if part.text:
            pieces.append(self._delta({"type": "thinking_delta", "thinking": part.text}))
        if signature:
            pieces.append(self._delta({"type": "signature_delta", "signature": signature}))
            self._close(pieces)

    def _id_of(self, delta: ToolCallDelta) -> str:
        return marked_id(delta.id or "", delta.extra)

    def _begin_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        block = {"type": "tool_use", "id": call.id or f"call_{self._next}", "name": call.name, "input": {}}
        self._begin("tool_use", block, pieces)

    def _call_piece(self, text: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": text})

    def _begin(self, kind: str, block: dict[str, Any], pieces: list[bytes]) -> None:
        self._close(pieces)
        self._open = kind
        self._words.begin()
        pieces.append(_event("content_block_start", {"index": self._next, "content_block": block}))

    def _close(self, pieces: list[bytes]) -> None:
        if not self._open:
            return
        self._writing = None
        pieces.append(_event("content_block_stop", {"index": self._next}))
        self._open = ""
        self._next += 1

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._next, "delta": delta})

    def _end(self, pieces: list[bytes]) -> None:
        self._say_rest(pieces)
        if self._ended:
            return
        stop = encode_stop(self._finish, calls=self._called, refused=self._refused)
        end = {"delta": {"stop_reason": stop, "stop_sequence": self._stop_sequence}, "usage": encode_usage(self._usage)}
        pieces.append(_event("message_delta", end))


def _event(kind: str, value: dict[str, Any]) -> bytes:
    return encode_event(dumps({"type": kind, **value}), kind.encode("ascii"))


def _error_value(detail: ErrorDetail) -> dict[str, Any]:
    return {"type": detail.type or "api_error", "message": detail.message}
