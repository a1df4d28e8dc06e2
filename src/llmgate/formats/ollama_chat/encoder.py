"""Writes streams of this format.

Source: Ollama, docs/api.md, and server/routes.go. A call of a tool is never cut: its pieces are gathered until the next
thing is certain to be another.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps, loads
from llmgate.codecs.ndjson import encode_line
from llmgate.formats.logprobs import tokens_in
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.part_proofs import ThoughtsBefore
from llmgate.spec import (
    ChoiceDelta,
    FinishReason,
    GatewayChunk,
    GatewayError,
    ProviderError,
    Reasoning,
    StreamEncoder,
    Text,
    ToolCall,
    Usage,
)

from .errors import encode_error
from .messages import encode_call
from .responses import created_text, encode_done
from .usage import encode_usage

__all__ = ["HEARTBEAT", "LineEncoder"]

HEARTBEAT: Final = b" "
"""White space before the next line, which JSON ignores: an empty line would not be JSON to clients."""


@attrs.define
class _Call:
    """A call whose pieces come in."""

    id: str = ""
    name: str = ""
    extra: dict[str, Any] = attrs.field(factory=dict)
    pieces: list[str] = attrs.field(factory=list)


class LineEncoder(StreamEncoder):
    """Writes one stream of lines: the first answer of what it is given."""

    def __init__(self) -> None:
        self._model = ""
        self._created: int | None = None
        self._calls: dict[int, _Call] = {}
        self._written = 0
        self._thoughts = ThoughtsBefore()
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The lines; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return encode_line(dumps({"error": chunk.error.message}))
        self._model = chunk.model or self._model
        self._created = self._created if chunk.created is None else chunk.created
        self._usage = chunk.usage or self._usage
        lines = [self._choice(choice) for choice in chunk.choices if choice.index == 0]
        if chunk.final:
            lines += [self._gathered(), self._end()]
        return b"".join(lines)

    def passed(self, chunk: GatewayChunk) -> bytes:  # noqa: ARG002 - whatever passes, calls gathered so far are whole
        """Lines stand by themselves; only calls that have been gathered go before the next one."""
        return self._gathered()

    def error(self, error: GatewayError) -> bytes:
        """The error as a line, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_line(encode_error(error) if shown is None else dumps(loads(shown)))

    def _choice(self, choice: ChoiceDelta) -> bytes:
        self._finish = choice.finish_reason or self._finish
        thoughts = ""
        for part in choice.parts:
            if isinstance(part, Reasoning):
                thoughts += part.text
                self._thoughts.add(part)
            elif part.citations:
                self.unsaid.add(UNSAID_CITATIONS)
        text = "".join(part.text for part in choice.parts if isinstance(part, Text)) + (choice.refusal or "")
        for delta in choice.tool_calls:
            call = self._calls.setdefault(delta.index, _Call())
            call.id, call.name = call.id or delta.id or "", call.name or delta.name or ""
            call.pieces.append(delta.arguments)
            call.extra |= delta.extra
        tokens = tokens_in(choice.extra) if choice.extra else ()
        if not thoughts and not text and not tokens:
            return b""
        thinking = {"thinking": thoughts} if thoughts else {}
        shown = {"logprobs": list(tokens)} if tokens else {}
        return self._line({"role": "assistant", "content": text, **thinking}, done=False, **shown)

    def _gathered(self) -> bytes:
        calls = [call for _, call in sorted(self._calls.items()) if call.name]
        self._calls.clear()
        if not calls:
            return b""
        first, self._written = self._written, self._written + len(calls)
        written = [
            encode_call(ToolCall(self._id_of(call, first + i), call.name, "".join(call.pieces)), first + i)
            for i, call in enumerate(calls)
        ]
        return self._line({"role": "assistant", "content": "", "tool_calls": written}, done=False)

    def _id_of(self, call: _Call, number: int) -> str:
        return self._thoughts.call_id(call.id or f"call_{number}", call.extra)

    def _end(self) -> bytes:
        end = {"done_reason": encode_done(self._finish), **encode_usage(self._usage)}
        return self._line({"role": "assistant", "content": ""}, done=True, **end)

    def _line(self, message: dict[str, Any], *, done: bool, **more: Any) -> bytes:
        head = {"model": self._model, "created_at": created_text(self._created), "message": message}
        return encode_line(dumps({**head, "done": done, **more}))
