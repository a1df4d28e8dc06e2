"""Writes streams of this format.

Source: Amazon Bedrock API reference, "ConverseStream". Blocks follow one another and never interleave, whatever the
order in which their pieces come, since clients gather one block at a time.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from llmgate.codecs.eventstream import decode_message, encode_headers, encode_message
from llmgate.codecs.jsons import dumps, loads
from llmgate.formats.anthropic_messages.parts import REDACTED
from llmgate.formats.block_encoder import BlockEncoder, OpenCall
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.part_proofs import is_whole, proof_of, signature_of
from llmgate.spec import (
    ErrorDetail,
    GatewayChunk,
    GatewayError,
    ProviderError,
    Reasoning,
    Text,
    ToolCall,
)

from .citations import encode_citations, says
from .errors import encode_error, type_of
from .parts import encode_blocks
from .responses import ADDITIONAL, NO_METRICS, SEQUENCE, encode_stop
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


class ConverseStreamEncoder(BlockEncoder):
    """Writes one stream of Converse events: the first answer of what it is given.

    Nothing is said of the end before it is certain: stop reason and usage go out together.

    Args:
        shows_sequence: Whether the client asked which of its texts ended the answer.
    """

    def __init__(self, *, shows_sequence: bool = True) -> None:
        super().__init__()
        self._shows_sequence = shows_sequence
        self._ended = False
        self._next = 0

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
            self._say_rest(before)
            self._ended = True
        elif kind == "contentBlockStop" and index is not None:
            self._open, self._writing, self._next = "", None, index + 1
        elif kind == "contentBlockStart" and index is not None:
            self._close(before)
            self._open, self._next = "toolUse", index
            self._adopt(chunk)
        elif kind == "contentBlockDelta" and index is not None and not (self._open and index == self._next):
            self._close(before)
            self._open, self._next = _kind_of(chunk), index
        return b"".join(before)

    def error(self, error: GatewayError) -> bytes:
        """The error as an exception, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_exception(type_of(error, streamed=True), encode_error(error) if shown is None else shown)

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if isinstance(part, Reasoning):
            self._thought(part, pieces)
        elif part.text:
            if self._begins_anew(part):
                self._close(pieces)
            self._switch("text", pieces)
            self._words.add(part.text)
            pieces.append(self._delta({"text": part.text}))
        if isinstance(part, Text) and part.citations:
            self._cite(part, pieces)

    def _cite(self, part: Text, pieces: list[bytes]) -> None:
        """Tell what stands behind the block that is being written, which ends with that."""
        found = [one for one in self._cited_here(part) if says(one)]
        pieces += [self._delta({"citation": one}) for one in encode_citations(found)]
        if len(found) < len(part.citations):
            self.unsaid.add(UNSAID_CITATIONS)
        if found:
            self._close(pieces)

    def _thought(self, part: Reasoning, pieces: list[bytes]) -> None:
        if part.extra.get("type") == REDACTED:
            self._close(pieces)
            self._open = REDACTED
            pieces.append(self._delta(encode_blocks([part])[0]))
            self._close(pieces)
            return
        signature = signature_of(part)
        if not part.text and not signature:
            return
        if is_whole(part):
            self._close(pieces)
        self._switch("reasoning", pieces)
        if part.text:
            pieces.append(self._delta({"reasoningContent": {"text": part.text}}))
        if signature:
            pieces.append(self._delta({"reasoningContent": {"signature": signature}}))
            self._close(pieces)

    def _begin_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        call.id = call.id or f"call_{self._next}"
        proof = proof_of(ToolCall(call.id, call.name, "", call.extra))
        if proof is not None:
            self._thought(proof, pieces)
        self._open = "toolUse"
        start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
        pieces.append(encode_event("contentBlockStart", {"start": start, "contentBlockIndex": self._next}))

    def _call_piece(self, text: str) -> bytes:
        return self._delta({"toolUse": {"input": text}})

    def _switch(self, kind: str, pieces: list[bytes]) -> None:
        """Go on in a block of a kind; such blocks have no event that begins them."""
        if self._open != kind:
            self._close(pieces)
            self._open = kind
            self._words.begin()

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
        self._say_rest(pieces)
        stop = encode_stop(self._finish, calls=self._called, refused=self._refused)
        end: dict[str, Any] = {"stopReason": stop}
        if self._stop_sequence is not None and self._shows_sequence:
            end[ADDITIONAL] = {SEQUENCE: self._stop_sequence}
        pieces.append(encode_event("messageStop", end))


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
