"""Writes streams of this format.

Source: Gemini API reference, "streamGenerateContent"; an event is a whole response, and there is no terminal marker, so
that the finish reason is what tells clients of a good end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.codecs.sse import encode_event
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.spec import (
    ChoiceDelta,
    Citation,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    GatewayError,
    Part,
    ProviderError,
    Reasoning,
    StreamEncoder,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)

from .calls import is_invented
from .citations import GROUNDING, encode_grounding, says
from .errors import encode_error
from .finishes import encode_finish
from .logprobs import encode_logprobs
from .parts import WHOLE
from .responses import written_parts
from .usage import encode_usage

__all__ = ["ContentStreamEncoder"]

_INTERNAL: Final = 500


@attrs.define
class _Call:
    """A call whose pieces come in; this format has calls only whole."""

    id: str = ""
    name: str = ""
    arguments: list[str] = attrs.field(factory=list)
    extra: dict[str, Any] = attrs.field(factory=dict)


@attrs.define
class _Answer:
    """What is held back of one answer until it is certain: its calls and its end."""

    calls: dict[int, _Call] = attrs.field(factory=dict)
    finish: FinishReason | None = None
    native: str | None = None
    refused: bool = False
    thought: list[str] = attrs.field(factory=list)
    ended: bool = False
    said: list[str] = attrs.field(factory=list)
    cited: list[Citation] = attrs.field(factory=list)


class ContentStreamEncoder(StreamEncoder):
    """Writes one stream of responses.

    Nothing is said of the end before it is certain: calls, finish reasons and usage go out in the last event.
    """

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._answers: dict[int, _Answer] = {}
        self._usage: Usage | None = None

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The event; ``b""`` for a chunk that says nothing now."""
        if chunk.error is not None:
            return encode_event(dumps(_error_value(chunk.error)))
        for name, value in (("modelVersion", chunk.model), ("responseId", chunk.id)):
            if value:
                self._head[name] = value
        self._usage = chunk.usage or self._usage
        candidates = [written for choice in chunk.choices if (written := self._choice(choice)) is not None]
        event = self._event(candidates) if candidates else b""
        return event + self._end() if chunk.final else event

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Write the calls that are held back before the event that ends their answer goes down as it came."""
        self._usage = chunk.usage or self._usage
        candidates: list[dict[str, Any]] = []
        for choice in chunk.choices:
            if choice.finish_reason is None:
                continue
            answer = self._answers.setdefault(choice.index, _Answer())
            if answer.calls:
                candidates.append(_candidate(choice.index, _calls_of(answer)))
                answer.calls.clear()
            answer.ended = True
        return self._event(candidates) if candidates else b""

    def error(self, error: GatewayError) -> bytes:
        """The error as an event, in the provider's own words where they may be shown; nothing follows it."""
        shown = error.body if isinstance(error, ProviderError) else None
        return encode_event(encode_error(error) if shown is None else shown)

    def _choice(self, choice: ChoiceDelta) -> dict[str, Any] | None:
        answer = self._answers.setdefault(choice.index, _Answer())
        for delta in choice.tool_calls:
            _gather(answer, delta)
        answer.finish = choice.finish_reason or answer.finish
        native = choice.extra.get("native_finish_reason")
        if choice.finish_reason is not None and isinstance(native, str) and native.isupper():
            answer.native = native
        parts: list[Part] = list(choice.parts)
        if choice.refusal:
            answer.refused = True
            parts.append(Text(choice.refusal))
        self._note_sources(answer, parts)
        written = written_parts([_with_whole(part, answer) for part in parts], own=False)
        written += choice.extra.get("parts", ())
        logprobs = encode_logprobs(choice.extra.get("logprobs"))
        if not written and logprobs is None:
            return None
        candidate = _candidate(choice.index, written)
        return candidate if logprobs is None else {**candidate, "logprobsResult": logprobs}

    def _note_sources(self, answer: _Answer, parts: Iterable[Part]) -> None:
        """Keep what stands behind the answer, to be told with its end."""
        for part in parts:
            if isinstance(part, Text):
                answer.said.append(part.text)
                answer.cited += part.citations
                if part.citations and not all(map(says, part.citations)):
                    self.unsaid.add(UNSAID_CITATIONS)

    def _end(self) -> bytes:
        """The last event: what was held back of every answer that has not ended already."""
        answers = self._answers or {0: _Answer()}
        candidates = []
        for index, answer in sorted(answers.items()):
            if answer.ended:
                continue
            finish = answer.native or encode_finish(answer.finish, refused=answer.refused)
            # Google's own library takes a turn without parts for a broken one and forgets it.
            parts = _calls_of(answer) or [{"text": ""}]
            candidate = {**_candidate(index, parts), "finishReason": finish}
            if answer.cited:
                whole = Text("".join(answer.said), citations=answer.cited)
                candidate[GROUNDING] = encode_grounding([(0, whole)])
            candidates.append(candidate)
            answer.ended = True
        if not candidates:
            return b""
        usage = {} if self._usage is None else {"usageMetadata": encode_usage(self._usage)}
        return self._event(candidates, **usage)

    def _event(self, candidates: list[dict[str, Any]], **more: Any) -> bytes:
        return encode_event(dumps({"candidates": candidates, **more, **self._head}))


def _gather(answer: _Answer, delta: ToolCallDelta) -> None:
    call = answer.calls.setdefault(delta.index, _Call())
    call.id = call.id or delta.id or ""
    call.name = call.name or delta.name or ""
    if delta.arguments:
        call.arguments.append(delta.arguments)
    call.extra |= delta.extra


def _with_whole(part: Part, answer: _Answer) -> Part:
    """The signature of a thought comes in a piece of its own behind the text, and is worth nothing without the text."""
    if not isinstance(part, Reasoning):
        return part
    answer.thought.append(part.text)
    if not part.signature:
        return part
    whole = "".join(answer.thought)
    answer.thought.clear()
    return attrs.evolve(part, extra={**part.extra, WHOLE: whole}) if whole != part.text else part


def _calls_of(answer: _Answer) -> list[dict[str, Any]]:
    calls: Iterable[ToolCall] = (
        ToolCall("" if is_invented(call.id) else call.id, call.name, "".join(call.arguments), extra=call.extra)
        for _, call in sorted(answer.calls.items())
        if call.name or call.arguments
    )
    return written_parts(calls, own=False)


def _candidate(index: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": parts}, "index": index}


def _error_value(detail: ErrorDetail) -> dict[str, Any]:
    status = detail.status or _INTERNAL
    return {"error": {"code": status, "message": detail.message, "status": detail.type or "INTERNAL"}}
