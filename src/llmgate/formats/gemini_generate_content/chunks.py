"""One event of a stream to the canonical chunk.

Source: Gemini API reference, "streamGenerateContent": each event is a whole response that holds what is new. Calls come
whole, several in one event or in several, so that they are numbered over the stream; usage is repeated and cumulative.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.answer_losses import beside, kind_of
from llmgate.formats.fields import rest
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.openai_chat.parts import encode_part as encode_openai
from llmgate.formats.thought_signatures import signature_in, signed
from llmgate.spec import (
    Blob,
    ChoiceDelta,
    Citation,
    FinishReason,
    GatewayChunk,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
    Unknown,
)

from .calls import invented_id
from .citations import decode_grounding
from .finishes import block_reason, decode_finish, native_extra
from .logprobs import decode_logprobs
from .parts import decode_parts
from .responses import candidates_in, parts_in
from .usage import decode_usage

__all__ = ["ChunkReader"]

_MOST_GROUNDED: Final = 256
"""Events of a stream whose sources are looked at; each look goes over all the text."""

_KNOWN: Final = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId"})


class ChunkReader:
    """Reads the events of one stream, and numbers the calls in them.

    Args:
        unread: Takes the names of parts that only this format knows.
    """

    def __init__(self, unread: set[str] | None = None) -> None:
        self._unread = set() if unread is None else unread
        self._calls: dict[int, int] = {}
        self._begun: set[int] = set()
        self._said: dict[int, list[str]] = {}
        self._cited: dict[int, set[Citation]] = {}
        self._grounded = 0

    def read(self, value: Mapping[str, Any], raw: bytes) -> GatewayChunk:
        """The chunk of an event.

        Raises:
            ShapeError: a part in it is none.
        """
        response_id, model = value.get("responseId"), value.get("modelVersion")
        response_id = response_id if isinstance(response_id, str) else ""
        choices = [self._candidate(one, position, response_id) for position, one in enumerate(candidates_in(value))]
        reason = block_reason(value)
        if not choices and reason is not None:
            choices = [ChoiceDelta(finish_reason=FinishReason.CONTENT_FILTER, extra=native_extra(reason))]
        return GatewayChunk(
            choices=tuple(choices),
            id=response_id or None,
            model=model if isinstance(model, str) and model else None,
            usage=decode_usage(value.get("usageMetadata")),
            raw=raw,
            extra=rest(value, _KNOWN),
        )

    def _candidate(self, source: Mapping[str, Any], position: int, response_id: str) -> ChoiceDelta:
        index = source.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else position
        parts: list[Text | Reasoning] = []
        calls: list[ToolCallDelta] = []
        others: list[Any] = []
        delta: dict[str, Any] = {}
        given = parts_in(source)
        for part, written in zip(decode_parts(given, f"candidates[{position}]"), given, strict=True):
            if isinstance(part, ToolCall):
                calls.append(self._call(part, index, response_id))
            elif isinstance(part, Text | Reasoning):
                parts.append(part)
                if isinstance(part, Text):
                    self._said.setdefault(index, []).append(part.text)
                    delta |= signed(signature_in(part.extra))
            else:
                others.append(written)
                if isinstance(part, Unknown):
                    self._unread.add(f"answer.{kind_of(part)}")
                if isinstance(part, Blob) and part.modality == "image":
                    delta.setdefault("images", []).append(encode_openai(part, own=False))
        parts += self._sources(source, index)
        role = None if index in self._begun else "assistant"  # clients add up what comes, so that it is said once
        self._begun.add(index)
        return ChoiceDelta(
            index=index,
            role=role,
            parts=tuple(parts),
            tool_calls=tuple(calls),
            finish_reason=decode_finish(source.get("finishReason"), calls=self._calls.get(index, 0) > 0),
            extra=_extra(source, delta, others),
        )

    def _sources(self, candidate: Mapping[str, Any], index: int) -> list[Text]:
        """What an event tells of the sources behind the answer that none before it has told."""
        self._unread.update(beside(candidate))
        if not any(candidate.get(name) for name in ("groundingMetadata", "citationMetadata")):
            return []
        self._grounded += 1
        if self._grounded > _MOST_GROUNDED:
            self._unread.add(UNSAID_CITATIONS)
            return []
        told = self._cited.setdefault(index, set())
        found = decode_grounding(candidate, "".join(self._said.get(index, ())))
        new = tuple(dict.fromkeys(one for one in found if one not in told))
        told.update(new)
        return [Text("", citations=new)] if new else []

    def _call(self, part: ToolCall, index: int, response_id: str) -> ToolCallDelta:
        number = self._calls.get(index, 0)
        self._calls[index] = number + 1
        given = part.id or invented_id(response_id, index, number, part.name, "" if response_id else part.arguments)
        return ToolCallDelta(number, given, part.name, part.arguments, extra=signed(signature_in(part.extra)))


def _extra(source: Mapping[str, Any], delta: dict[str, Any], others: list[Any]) -> dict[str, Any]:
    """What has no canonical place: in OpenAI's shape what its clients read, and parts of this format as they came."""
    extra = native_extra(source.get("finishReason"))
    logprobs = decode_logprobs(source.get("logprobsResult"))
    if logprobs is not None:
        extra["logprobs"] = logprobs
    if delta:
        extra["delta"] = delta
    if others:
        extra["parts"] = others
    return extra
