"""One event of a stream to the canonical chunk.

Source: Anthropic documentation, "Streaming messages". Blocks come strictly one after the other; what the canonical
chunk counts is tool calls, so that a block's index and a call's are two numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.citations import BEGINS, placed
from llmgate.formats.openai_chat.responses import native_end
from llmgate.spec import ChoiceDelta, Citation, Reasoning, Text, ToolCallDelta, Usage

from .citations import decode_citation, decode_citations
from .parts import REDACTED
from .responses import ENDS, decode_stop
from .usage import decode_usage, service_tier

__all__ = ["DELTAS", "BlockReader", "Counts", "stop_of"]

DELTAS: Final = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})


class Counts:
    """Usage, which is told at the beginning and again, cumulatively, at the end: what comes later counts, by field."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}

    def add(self, value: Any) -> Usage | None:
        """The counts of another event; the usage that all of them make, None when this one told none."""
        if not isinstance(value, dict):
            return None
        self._seen |= {name: one for name, one in value.items() if one is not None}
        return decode_usage(self._seen)

    @property
    def service_tier(self) -> str | None:
        """The tier of service that they name."""
        return service_tier(self._seen)


class BlockReader:
    """Reads the events of content blocks into pieces of one answer.

    Args:
        unread: Takes the names of blocks that it passes over.
    """

    def __init__(self, unread: set[str] | None = None) -> None:
        self._unread = set() if unread is None else unread
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        self._length = 0
        """Code points of the text so far."""
        self._block = -1
        """The text block that is being read, or was the last."""
        self._begun = 0
        """Where its text begins."""
        self._begins = False
        self._cited: list[Citation] = []

    def read(self, kind: str, value: Mapping[str, Any]) -> ChoiceDelta | None:
        """What an event says, None for nothing."""
        index = value.get("index")
        index = index if isinstance(index, int) else -1
        if kind == "content_block_start":
            return self._start(index, _object(value, "content_block"))
        if kind == "content_block_delta":
            return self._delta(index, _object(value, "delta"))
        if self._cited:
            return ChoiceDelta(parts=(Text("", citations=self._sources()),))
        if index in self._silent:  # a call without parameters: the start's ``input`` is a placeholder
            self._silent.discard(index)
            return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments="{}"),))
        return None

    def _start(self, index: int, block: Mapping[str, Any]) -> ChoiceDelta | None:
        match block:
            case {"type": "text", "text": str(text)}:
                return self._begin_text(index, text, block.get("citations"))
            case {"type": "thinking", "thinking": str(text)} if text:
                return ChoiceDelta(parts=(_thought(text),))
            case {"type": kind} if kind == REDACTED:
                return ChoiceDelta(parts=(Reasoning("", extra=dict(block)),))
            case {"type": "tool_use", "id": str(call_id), "name": str(name)}:
                number = self._calls.setdefault(index, len(self._calls))
                self._silent.add(index)
                return ChoiceDelta(tool_calls=(ToolCallDelta(number, id=call_id, name=name),))
            case {"type": "thinking"}:
                return None
            case _:
                self._unread.add(f"answer.{block.get('type', 'content')}"[:64])
                return None

    def _delta(self, index: int, delta: Mapping[str, Any]) -> ChoiceDelta | None:
        if delta.get("type") == "text_delta":  # nearly every event of nearly every stream
            said = delta.get("text")
            return self._text(said) if isinstance(said, str) and said else None
        match delta:
            case {"type": "thinking_delta", "thinking": str(text)} if text:
                return ChoiceDelta(parts=(_thought(text),))
            case {"type": "citations_delta", "citation": dict(given)}:
                found = decode_citation(given)
                self._cited += [] if found is None else [found]
                return None
            case {"type": "signature_delta", "signature": str(signature)} if signature:
                return ChoiceDelta(parts=(Reasoning("", signature),))
            case {"type": "input_json_delta", "partial_json": str(text)} if text and index in self._calls:
                self._silent.discard(index)
                return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments=text),))
            case _:
                return None

    def _begin_text(self, index: int, text: str, citations: Any) -> ChoiceDelta | None:
        self._begins = self._block >= 0 and self._block == index - 1
        self._block, self._begun = index, self._length
        self._cited = list(decode_citations(citations))
        return self._text(text) if text else None

    def _text(self, text: str) -> ChoiceDelta:
        self._length += len(text)
        begins, self._begins = self._begins, False
        return ChoiceDelta(parts=(Text(text, extra={BEGINS: True}) if begins else Text(text),))

    def _sources(self) -> tuple[Citation, ...]:
        """What stands behind the block that has ended, with its place in all the text."""
        found, self._cited = self._cited, []
        return tuple(placed(one, self._begun, self._length) for one in found)


def stop_of(value: Mapping[str, Any]) -> ChoiceDelta:
    """The end of the answer, as ``message_delta`` tells it."""
    delta = _object(value, "delta")
    sequence = delta.get("stop_sequence")
    return ChoiceDelta(
        finish_reason=decode_stop(delta.get("stop_reason")),
        extra=native_end(delta.get("stop_reason"), ENDS),
        stop_sequence=sequence if isinstance(sequence, str) else None,
    )


def _thought(text: str) -> Reasoning:
    """A piece of a thought that a signature will follow; its kind tells that it belongs to a block."""
    return Reasoning(text, extra={"type": "thinking"})


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
