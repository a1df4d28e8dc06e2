"""One event of a stream to the canonical chunk.

Source: Amazon Bedrock API reference, "ConverseStream". Only blocks of tools have an event that begins them; what the
canonical chunk counts is tool calls, so that a block's index and a call's are two numbers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.citations import BEGINS, placed
from llmgate.formats.openai_chat.responses import native_end
from llmgate.spec import ChoiceDelta, Citation, Reasoning, Text, ToolCallDelta

from .citations import decode_citation
from .parts import redacted
from .responses import ENDS, decode_stop, stop_sequence_in

__all__ = ["DELTAS", "BlockReader", "says_something", "stop_of"]

DELTAS: Final = frozenset({"contentBlockStart", "contentBlockDelta", "contentBlockStop"})


class BlockReader:
    """Reads the events of content blocks into pieces of one answer.

    Args:
        unread: Takes the names of blocks that it passes over.
    """

    def __init__(self, unread: set[str] | None = None) -> None:
        self._unread = set() if unread is None else unread
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        self._redacted: dict[int, list[str]] = {}
        self._length = 0
        """Code points of the text so far."""
        self._block = -1
        """The text block that is being read, or was the last."""
        self._begun = 0
        """Where its text begins."""
        self._cited: list[Citation] = []

    def read(self, kind: str, value: Mapping[str, Any]) -> ChoiceDelta | None:
        """What an event says, None for nothing."""
        index = value.get("contentBlockIndex")
        index = index if isinstance(index, int) else -1
        if kind == "contentBlockStart":
            return self._start(index, _object(value, "start"))
        if kind == "contentBlockDelta":
            return self._delta(index, _object(value, "delta"))
        if self._cited and index == self._block:
            return ChoiceDelta(parts=(Text("", citations=self._sources()),))
        if index in self._redacted:
            return ChoiceDelta(parts=(redacted(_joined(self._redacted.pop(index))),))
        if index in self._silent:  # a call without parameters
            self._silent.discard(index)
            return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments="{}"),))
        return None

    def _start(self, index: int, start: Mapping[str, Any]) -> ChoiceDelta | None:
        match start:
            case {"toolUse": {"toolUseId": str(call_id), "name": str(name), **more}} if "type" not in more:
                number = self._calls.setdefault(index, len(self._calls))
                self._silent.add(index)
                return ChoiceDelta(tool_calls=(ToolCallDelta(number, id=call_id, name=name),))
            case _:
                self._unread |= {f"answer.{kind}"[:64] for kind in start}
                return None

    def _delta(self, index: int, delta: Mapping[str, Any]) -> ChoiceDelta | None:
        match delta:
            case {"text": str(text)} if text:
                return ChoiceDelta(parts=(self._text(index, text),))
            case {"citation": dict(given)}:
                self._cited.append(decode_citation(given))
                return None
            case {"toolUse": {"input": str(text)}} if text and index in self._calls:
                self._silent.discard(index)
                return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments=text),))
            case {"reasoningContent": {"text": str(text)}} if text:
                return ChoiceDelta(parts=(Reasoning(text, extra={"type": "thinking"}),))
            case {"reasoningContent": {"signature": str(signature)}} if signature:
                return ChoiceDelta(parts=(Reasoning("", signature),))
            case {"reasoningContent": {"redactedContent": str(data)}} if data:
                self._redacted.setdefault(index, []).append(data)
                return None
            case _:
                return None

    def _text(self, index: int, text: str) -> Text:
        begins = self._block >= 0 and self._block == index - 1
        if index != self._block:
            self._block, self._begun = index, self._length
        self._length += len(text)
        return Text(text, extra={BEGINS: True}) if begins else Text(text)

    def _sources(self) -> tuple[Citation, ...]:
        """What stands behind the block that has ended, with its place in all the text."""
        found, self._cited = self._cited, []
        return tuple(placed(one, self._begun, self._length) for one in found)


def says_something(kind: str, value: Mapping[str, Any]) -> bool:
    """Whether an event carries text, thought, a call or a picture; a signature alone is none of these."""
    if kind == "contentBlockStart":
        return bool(_object(value, "start"))
    if kind != "contentBlockDelta":
        return False
    delta = _object(value, "delta")
    if "reasoningContent" in delta:
        return bool(_object(delta, "reasoningContent").keys() & {"text", "redactedContent"})
    return bool(delta.get("text") or delta.keys() - {"text"})


def stop_of(value: Mapping[str, Any]) -> ChoiceDelta:
    """The end of the answer, as ``messageStop`` tells it."""
    stop = value.get("stopReason")
    return ChoiceDelta(
        finish_reason=decode_stop(stop), extra=native_end(stop, ENDS), stop_sequence=stop_sequence_in(value)
    )


def _joined(pieces: list[str]) -> str:
    """What came encrypted in pieces, each of them base64 by itself; a single piece stays as it is."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece, validate=True) for piece in pieces)).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}
