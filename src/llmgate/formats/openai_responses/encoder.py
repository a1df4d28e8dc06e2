"""Writes streams of this format.

Source: OpenAI API reference, "Streaming events". Every event has its type twice and a number of its own; what pieces
have told is told again whole, with its part, with its item and with the response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.codecs.sse import encode_event
from llmgate.formats.citations import SaidText
from llmgate.formats.logprobs import tokens_in
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.part_proofs import is_whole, proof_of
from llmgate.formats.thought_signatures import signature_in
from llmgate.spec import (
    ChoiceDelta,
    Citation,
    FinishReason,
    GatewayChunk,
    GatewayError,
    Reasoning,
    StreamEncoder,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)

from .asked import Asked
from .citations import encode_annotation, says
from .errors import failure
from .items import CallItem, Event, MessageItem, ReasoningItem
from .responses import ended, item_id, response_id, response_value
from .usage import encode_usage

__all__ = ["KEEP_ALIVE", "ResponseStreamEncoder"]

KEEP_ALIVE: Final = b'event: keepalive\ndata: {"type":"keepalive","sequence_number":0}\n\n'
"""What OpenAI sends itself into a silent stream. Codex does not count comments as signs of life."""


class ResponseStreamEncoder(StreamEncoder):
    """Writes one stream of response events: the first answer of what it is given.

    Messages and reasoning follow one another; calls may be written side by side, and are closed when all is said, since
    only then it is certain that they are whole.

    Args:
        asked: The request, of which the response repeats what was asked.
    """

    def __init__(self, asked: Asked | None = None) -> None:
        self._asked = asked or Asked()
        self._sequence = 0
        self._id = ""
        self._model = ""
        self._created = 0
        self._begun = False
        self._speaking: MessageItem | ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}
        self._waiting: dict[int, ToolCallDelta] = {}
        self._count = 0
        self._output: dict[int, dict[str, Any]] = {}
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._said = SaidText()

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events; ``b""`` for a chunk that says nothing now."""
        if not self._begun:
            self._id = response_id(chunk.id) if chunk.id else self._id
        self._model = self._model or chunk.model or ""
        self._created = self._created or chunk.created or 0
        self._usage = chunk.usage or self._usage
        pieces: list[bytes] = []
        choices = [choice for choice in chunk.choices if choice.index == 0]
        if (choices or chunk.final) and not self._begun:
            self._begin(pieces)
        for choice in choices:
            self._choice(choice, pieces)
        if chunk.final:
            self._end(pieces)
        return b"".join(pieces)

    def error(self, error: GatewayError) -> bytes:
        """The response, failed: with the items that were whole, and without a success marker."""
        pieces: list[bytes] = []
        if not self._begun:
            self._begin(pieces)
        value = {**self._response(), "status": "failed", "error": failure(error), "usage": encode_usage(self._usage)}
        self._write([("failed", {"response": value})], pieces)
        return b"".join(pieces)

    def _begin(self, pieces: list[bytes]) -> None:
        self._begun = True
        self._id = self._id or f"resp_{self._created}"
        value = self._response()
        self._write([("created", {"response": value}), ("in_progress", {"response": value})], pieces)

    def _response(self) -> dict[str, Any]:
        output = [self._output[index] for index in sorted(self._output)]
        return response_value(self._asked, self._id, self._model, self._created, output)

    def _choice(self, choice: ChoiceDelta, pieces: list[bytes]) -> None:
        tokens = tokens_in(choice.extra) if choice.extra else ()
        for part in choice.parts:
            if isinstance(part, Reasoning):
                self._think(part, pieces)
                continue
            if part.text:
                self._text(part.text, tokens, pieces)
                tokens = ()
            if part.citations:
                self._cite(part, pieces)
            self._prove(part, pieces)
        if choice.refusal:
            self._write(self._message(pieces).add("refusal", choice.refusal), pieces)
        for call in choice.tool_calls:
            self._call(call, pieces)
        self._finish = choice.finish_reason or self._finish

    def _text(self, text: str, tokens: Sequence[Mapping[str, Any]], pieces: list[bytes]) -> None:
        message = self._message(pieces)
        if message.kind != "output_text":
            self._said.begin()
        self._said.add(text)
        self._write(message.add("output_text", text, tokens), pieces)

    def _cite(self, part: Text, pieces: list[bytes]) -> None:
        """Annotate the text that is being written; what has been ended cannot be annotated any more."""
        message, said = self._speaking, self._said
        inside: Sequence[Citation] = ()
        if isinstance(message, MessageItem) and message.kind == "output_text":
            inside = [one for one in said.inside(part.citations) if says(one)]
            for one in inside:
                self._write(message.annotate(encode_annotation(one, said.length - said.begun)), pieces)
        if len(inside) < len(part.citations):
            self.unsaid.add(UNSAID_CITATIONS)

    def _message(self, pieces: list[bytes]) -> MessageItem:
        """The message that is being written, a new one where none is."""
        if not isinstance(self._speaking, MessageItem):
            self._close(pieces)
            self._speaking = MessageItem(item_id(self._id, "message", self._count), self._count)
            self._open(self._speaking, pieces)
        return self._speaking

    def _prove(self, part: Text | ToolCall, pieces: list[bytes]) -> None:
        """Write the signature of a part, if it has one, as reasoning of its own."""
        proof = proof_of(part) if part.extra else None
        if proof is not None:
            self._think(proof, pieces)

    def _think(self, part: Reasoning, pieces: list[bytes]) -> None:
        whole = is_whole(part)
        proven = bool(part.signature) or whole or signature_in(part.extra) is not None
        if not (part.text or proven):
            return
        if not isinstance(self._speaking, ReasoningItem) or whole:
            self._close(pieces)
            self._speaking = ReasoningItem(item_id(self._id, "reasoning", self._count), self._count)
            self._open(self._speaking, pieces)
        thought = self._speaking
        if part.text:
            self._write(thought.add(part.text), pieces)
        thought.extra |= part.extra
        if proven:
            thought.signature = part.signature
            self._close(pieces)

    def _call(self, delta: ToolCallDelta, pieces: list[bytes]) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            before = self._waiting.pop(delta.index, ToolCallDelta(delta.index))
            given = before.arguments + delta.arguments
            extra = {**before.extra, **delta.extra}
            delta = ToolCallDelta(delta.index, before.id or delta.id, before.name or delta.name, given, extra)
            if not delta.name:
                self._waiting[delta.index] = delta  # which tool is meant comes later
                return
            self._prove(ToolCall(delta.id or "", delta.name, "", extra), pieces)
            self._close(pieces)
            call = self._calls[delta.index] = self._new_call(delta)
            self._open(call, pieces)
        if delta.arguments:
            self._write(call.add(delta.arguments), pieces)

    def _new_call(self, delta: ToolCallDelta) -> CallItem:
        index, own_id = self._count, self._id

        def make_id(kind: str) -> str:
            return item_id(own_id, kind, index)

        call_id = delta.id or f"call_{own_id.removeprefix('resp_')}_{index}"
        return CallItem(index, call_id, delta.name or "", self._asked.toolbox, make_id)

    def _open(self, item: MessageItem | ReasoningItem | CallItem, pieces: list[bytes]) -> None:
        self._count += 1
        self._write(item.begin(), pieces)

    def _close(self, pieces: list[bytes], status: str = "completed") -> None:
        """The message or the reasoning that is being written is whole."""
        if self._speaking is not None:
            self._write(self._speaking.end(status), pieces)
            self._speaking = None

    def _end(self, pieces: list[bytes]) -> None:
        end = ended(self._finish)
        self._close(pieces, end["status"])
        for call in self._calls.values():
            self._write(call.end(), pieces)
        value = {**self._response(), **end, "usage": encode_usage(self._usage)}
        self._write([(end["status"], {"response": value})], pieces)

    def _write(self, events: Iterable[Event], pieces: list[bytes]) -> None:
        for name, members in events:
            kind = f"response.{name}"
            if name == "output_item.done":
                self._output[members["output_index"]] = members["item"]
            value = {"type": kind, "sequence_number": self._sequence, **members}
            self._sequence += 1
            pieces.append(encode_event(dumps(value), kind.encode("ascii")))
