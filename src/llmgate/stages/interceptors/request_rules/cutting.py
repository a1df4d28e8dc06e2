"""Counting the text of an answer, and cutting off what is too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from llmgate.spec import ChatChoice, ChatResponse, ChoiceDelta, FinishReason, GatewayChunk, Text

__all__ = ["StreamCounter", "cut_response", "response_characters"]


def response_characters(response: ChatResponse) -> int:
    """Characters of text in all choices together."""
    return sum(_length(choice.message.parts) for choice in response.choices)


def cut_response(response: ChatResponse, limit: int) -> ChatResponse | None:
    """The answer with the text of each choice cut to ``limit`` characters; None when none is longer."""
    if all(_length(choice.message.parts) <= limit for choice in response.choices):
        return None
    return attrs.evolve(response, choices=tuple(_cut_choice(choice, limit) for choice in response.choices))


def _cut_choice(choice: ChatChoice, limit: int) -> ChatChoice:
    if _length(choice.message.parts) <= limit:
        return choice
    message = attrs.evolve(choice.message, parts=_cut(choice.message.parts, limit))
    return attrs.evolve(choice, message=message, finish_reason=FinishReason.LENGTH, stop_sequence=None)


class StreamCounter:
    """Counts the text of one streamed answer, choice by choice, and cuts it at ``limit``.

    Args:
        limit: Characters that each choice may have; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self.total = 0
        self._limit = limit
        self._seen: dict[int, int] = {}
        self._full: set[int] = set()

    def take(self, chunk: GatewayChunk) -> GatewayChunk | None:
        """The chunk as it may go down: itself, a shorter one, or None when nothing of it is left."""
        choices = [self._take(choice) for choice in chunk.choices]
        if all(new is old for new, old in zip(choices, chunk.choices, strict=True)):
            return chunk
        kept = tuple(choice for choice in choices if choice is not None)
        if kept or chunk.usage is not None or chunk.error is not None or chunk.final:
            return attrs.evolve(chunk, choices=kept, raw=b"")
        return None

    def _take(self, choice: ChoiceDelta) -> ChoiceDelta | None:
        if choice.index in self._full:
            return None
        length = _length(choice.parts)
        seen = self._seen.get(choice.index, 0)
        if self._limit is None or seen + length <= self._limit:
            self._seen[choice.index] = seen + length
            self.total += length
            return choice
        self._full.add(choice.index)
        self.total += self._limit - seen
        return attrs.evolve(
            choice,
            parts=_cut(choice.parts, self._limit - seen),
            tool_calls=(),
            finish_reason=FinishReason.LENGTH,
            stop_sequence=None,
        )


def _length(parts: Sequence[object]) -> int:
    return sum(len(part.text) for part in parts if isinstance(part, Text))


def _cut(parts: Sequence[Any], limit: int) -> tuple[Any, ...]:
    """The parts up to ``limit`` characters of text; what stands behind the cut goes, tool calls included."""
    kept: list[Any] = []
    for part in parts:
        if not isinstance(part, Text):
            kept.append(part)
            continue
        if len(part.text) > limit:
            if limit:
                kept.append(attrs.evolve(part, text=part.text[:limit]))
            break
        kept.append(part)
        limit -= len(part.text)
    return tuple(kept)
