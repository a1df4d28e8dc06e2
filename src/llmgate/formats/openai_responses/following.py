"""Writes a stream of this format that comes in this very format, and that a stage may change on its way.

What no stage has changed goes down as it came. But this format tells everything several times, in pieces and whole, so
that a piece which a stage has changed, or taken out, would come back with the next event. From the first change on the
events that repeat are written anew, of what has really gone down; events of other kinds still go down as they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import loads
from llmgate.codecs.sse import event_data
from llmgate.formats.custom_tools import free_text
from llmgate.spec import GatewayChunk, Outcome, Reasoning

from .calls import CALLS
from .encoder import ResponseStreamEncoder
from .items import CallItem, MessageItem, ReasoningItem
from .reasoning import text_of

__all__ = ["FollowingEncoder"]

_STATES: Final = ("response.created", "response.in_progress", "response.queued")
_ITEMS: Final = ("response.output_item.added", "response.output_item.done")
_WRITTEN: Final = frozenset({"message", "reasoning", *CALLS})
"""The kinds of items that are written anew."""

_ANNOTATED: Final = "response.output_text.annotation.added"
_REPEATING: Final = (
    "response.output_text.",
    "response.refusal.",
    "response.content_part.",
    "response.reasoning_",
    "response.function_call_arguments.",
    "response.custom_tool_call_input.",
)


class FollowingEncoder(ResponseStreamEncoder):
    """As ``ResponseStreamEncoder``, and able to take over a stream that has gone down as it came so far."""

    _followed = False
    _rewriting = False

    def resume(self, outcome: Outcome, sequence: int) -> None:
        """Go on with a stream that has been relayed so far."""
        self._sequence = sequence
        self._begun = sequence > 0
        self._id, self._model = outcome.response_id or self._id, outcome.model or self._model
        self._usage = outcome.usage

    def relayed(self, chunk: GatewayChunk) -> bytes:
        """An event that no stage has changed: its own bytes, or what is to be told instead of them."""
        if chunk.final:
            return self.encode(chunk) if self._rewriting else chunk.raw
        data = event_data(chunk.raw)
        value = loads(data) if data and data.strip() != b"[DONE]" else None
        if not isinstance(value, dict):
            return chunk.raw
        self._followed = True
        if self._rewriting:
            return self._rewritten(chunk, value)
        if self._follow(chunk, value):
            return chunk.raw
        self._rewriting = True
        return self._rewritten(GatewayChunk(raw=chunk.raw), value)

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The events of a chunk that a stage has made or changed."""
        if self._followed and any(one.parts or one.refusal or one.tool_calls for one in chunk.choices):
            self._rewriting = True
        return super().encode(chunk)

    def _rewritten(self, chunk: GatewayChunk, value: Mapping[str, Any]) -> bytes:
        kind = str(value.get("type"))
        pieces = [super().encode(chunk)]
        item = value.get("item")
        item = item if isinstance(item, dict) else {}
        if kind in _ITEMS:
            if item.get("type") not in _WRITTEN:
                self._note_foreign(kind, value, item)
                pieces.append(chunk.raw)
            elif kind == _ITEMS[1] and item["type"] not in CALLS:
                self._close(pieces)
        elif kind not in _STATES and not kind.startswith(_REPEATING):
            pieces.append(chunk.raw)
        return b"".join(pieces)

    def _note_foreign(self, kind: str, value: Mapping[str, Any], item: dict[str, Any]) -> None:
        """An item of a kind that is not written here: it stays as it is, in the response too."""
        index = value.get("output_index")
        if isinstance(index, int):
            self._count = max(self._count, index + 1)
            if kind == _ITEMS[1]:
                self._output[index] = item

    def _follow(self, chunk: GatewayChunk, value: Mapping[str, Any]) -> bool:
        """Keep count of what goes down; whether the event tells no more than what has gone down as it came."""
        kind, number = str(value.get("type")), value.get("sequence_number")
        self._sequence = number + 1 if isinstance(number, int) else self._sequence + 1
        if kind in _STATES:
            self._follow_state(value.get("response"))
        item = value.get("item")
        if kind == _ITEMS[0] and isinstance(item, dict):
            self._follow_item(chunk, value, item)
        self._follow_part(kind, value.get("part"))
        if kind == _ANNOTATED and isinstance(self._speaking, MessageItem) and isinstance(value.get("annotation"), dict):
            list(self._speaking.annotate(value["annotation"]))
        self._take(chunk)
        same = self._tells_the_same(kind, value)
        if same and kind == _ITEMS[1] and isinstance(item, dict):
            self._follow_end(value, item)
        return same

    def _follow_state(self, response: Any) -> None:
        self._begun = True
        if isinstance(response, dict):
            own_id, model, created = response.get("id"), response.get("model"), response.get("created_at")
            self._id = own_id if isinstance(own_id, str) else self._id
            self._model = model if isinstance(model, str) else self._model
            self._created = int(created) if isinstance(created, int | float) else self._created

    def _follow_item(self, chunk: GatewayChunk, value: Mapping[str, Any], item: dict[str, Any]) -> None:
        index, kind = value.get("output_index"), item.get("type")
        index = index if isinstance(index, int) else self._count
        self._count = max(self._count, index + 1)
        own_id = str(item.get("id") or "")
        if kind == "message":
            self._speaking = MessageItem(own_id, index)
        elif kind == "reasoning":
            self._speaking = ReasoningItem(own_id, index)
        for choice in chunk.choices:
            for call in choice.tool_calls:
                self._calls[call.index] = CallItem(
                    index, call.id or "", call.name or "", self._asked.toolbox, lambda _: own_id
                )

    def _follow_part(self, kind: str, part: Any) -> None:
        if kind == "response.content_part.added" and isinstance(self._speaking, MessageItem) and isinstance(part, dict):
            self._speaking.kind = str(part.get("type"))
            self._said.begin()
        elif kind == "response.reasoning_summary_part.added" and isinstance(self._speaking, ReasoningItem):
            self._speaking.begun = True

    def _take(self, chunk: GatewayChunk) -> None:
        """Note the content of an event that goes down as it came."""
        for choice in chunk.choices:
            speaking = self._speaking
            for part in choice.parts:
                if isinstance(part, Reasoning) and isinstance(speaking, ReasoningItem):
                    list(speaking.add(part.text) if part.text else ())
                    speaking.signature = part.signature or speaking.signature
                elif isinstance(speaking, MessageItem) and not isinstance(part, Reasoning):
                    list(speaking.add("output_text", part.text) if part.text else ())
                    self._said.add(part.text)
            if choice.refusal and isinstance(speaking, MessageItem):
                list(speaking.add("refusal", choice.refusal))
            for call in choice.tool_calls:
                if call.index in self._calls and call.arguments:
                    list(self._calls[call.index].add(call.arguments))

    def _tells_the_same(self, kind: str, value: Mapping[str, Any]) -> bool:
        """Whether an event that tells something whole tells what the pieces have told."""
        if not kind.endswith(".done"):
            return True
        speaking = self._speaking
        match kind:
            case "response.output_text.done" | "response.refusal.done" if isinstance(speaking, MessageItem):
                return speaking.said == (value.get("text") or value.get("refusal") or "")
            case "response.reasoning_summary_text.done" | "response.reasoning_text.done":
                return isinstance(speaking, ReasoningItem) and speaking.said.endswith(str(value.get("text")))
            case "response.content_part.done":
                if isinstance(speaking, MessageItem):
                    list(speaking.end_part())
                return True
            case "response.output_item.done":
                return self._same_item(value, value.get("item"))
            case "response.function_call_arguments.done":
                calls = [call for call in self._calls.values() if call.index == value.get("output_index")]
                return all(call.said == value.get("arguments") for call in calls)
            case _:
                return True

    def _same_item(self, value: Mapping[str, Any], item: Any) -> bool:
        if not isinstance(item, dict):
            return True
        match item.get("type"):
            case "reasoning" if isinstance(self._speaking, ReasoningItem):
                return self._speaking.said == text_of(item)
            case "custom_tool_call":
                calls = [call for call in self._calls.values() if call.index == value.get("output_index")]
                return all(free_text(call.said) == item.get("input") for call in calls)
            case _:
                return True

    def _follow_end(self, value: Mapping[str, Any], item: dict[str, Any]) -> None:
        index = value.get("output_index")
        if isinstance(index, int):
            self._output[index] = item
            self._calls = {number: call for number, call in self._calls.items() if call.index != index}
            if self._speaking is not None and self._speaking.index == index:
                self._speaking = None
