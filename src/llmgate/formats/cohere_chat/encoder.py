"""Writes streams of this format.

Source: Cohere documentation, "Streaming" (v2). Content blocks and calls follow one another and never interleave,
whatever the order in which their pieces come.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from llmgate.codecs.jsons import dumps, loads
from llmgate.codecs.sse import encode_event, event_data
from llmgate.formats.block_encoder import BlockEncoder, OpenCall
from llmgate.formats.citations import MOST_CHECKED, spread
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.part_proofs import ThoughtsBefore
from llmgate.spec import (
    GatewayChunk,
    GatewayError,
    ProviderError,
    Reasoning,
    Text,
    ToolCallDelta,
)

from .citations import encode_citations, says
from .errors import decode_error
from .parts import TOOL_PLAN
from .responses import encode_finish
from .usage import encode_usage

__all__ = ["EventStreamEncoder"]

_START: Final = {"role": "assistant", "content": [], TOOL_PLAN: "", "tool_calls": [], "citations": []}


class EventStreamEncoder(BlockEncoder):
    """Writes one stream of events: the first answer of what it is given."""

    _keeps_words = True

    def __init__(self) -> None:
        super().__init__()
        self._citations = 0
        self._cites = 0
        self._begun_at: dict[int, int] = {}
        """Where the text of each content block begins in the answer."""
        self._id = ""
        self._next = {"content": 0, "call": 0}
        self._said = True
        """Whether the call that is being written has any arguments."""
        self._thoughts = ThoughtsBefore()

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
            self._say_rest(pieces)
            usage = {} if self._usage is None else {"usage": encode_usage(self._usage)}
            end = {"finish_reason": encode_finish(self._finish, calls=self._called), **usage}
            pieces.append(_written("message-end", {"id": self._id, "delta": end}))
        return b"".join(pieces)

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Keep count of the blocks that go down as they came; end the one whose end was changed."""
        before: list[bytes] = []
        if chunk.final:
            self._say_rest(before)
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
            self._adopt(chunk)
        return b"".join(before)

    def error(self, error: GatewayError) -> bytes:
        """An end that says it failed, in the provider's own words where they may be shown; nothing follows it."""
        detail = None
        if isinstance(error, ProviderError) and error.body is not None:
            detail = decode_error({}, error.body)
        return _failure(error.message if detail is None else detail.message)

    def _id_of(self, delta: ToolCallDelta) -> str:
        return self._thoughts.call_id(delta.id, delta.extra) if delta.id else ""

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if isinstance(part, Reasoning):
            self._thoughts.add(part)
        elif part.citations and not part.text:
            self._cite(part, pieces)
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
            self._begun_at |= {self._next["content"]: self._words.length} if kind == "text" else {}
        if isinstance(part, Text):
            self._words.add(part.text)
        pieces.append(self._indexed("content-delta", {"content": {kind: part.text}}))

    def _cite(self, part: Text, pieces: list[bytes]) -> None:
        """Tell what stands behind words that have been said, each in the block that holds them."""
        self._cites += 1
        if not self._begun_at or self._cites > MOST_CHECKED or not all(map(says, part.citations)):
            self.unsaid.add(UNSAID_CITATIONS)
        if not self._begun_at or self._cites > MOST_CHECKED:
            return
        text = self._words.text
        cuts = [*self._begun_at.values(), len(text)]
        blocks = [Text(text[start:end]) for start, end in pairwise(cuts)]
        for index, block in zip(self._begun_at, spread(blocks, part.citations), strict=True):
            for one in encode_citations(block.citations, block.text, index) if isinstance(block, Text) else ():
                start = {"index": self._citations, "delta": {"message": {"citations": one}}}
                pieces += [_written("citation-start", start), _written("citation-end", {"index": self._citations})]
                self._citations += 1

    def _begin_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        self._open, self._said = "call", False
        function = {"name": call.name, "arguments": ""}
        begun = {"id": call.id or f"call_{self._next['call']}", "type": "function", "function": function}
        pieces.append(self._indexed("tool-call-start", {"tool_calls": begun}))

    def _call_piece(self, text: str) -> bytes:
        self._said = True
        return self._indexed("tool-call-delta", {"tool_calls": {"function": {"arguments": text}}})

    def _close(self, pieces: list[bytes]) -> None:
        if not self._open:
            return
        if self._writing is not None and not self._said:
            pieces.append(self._call_piece("{}"))  # clients read what has come as JSON
        kind = "tool-call-end" if self._open == "call" else "content-end"
        counter = "call" if self._open == "call" else "content"
        pieces.append(_written(kind, {"index": self._next[counter]}))
        self._open, self._writing = "", None
        self._next[counter] += 1

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
