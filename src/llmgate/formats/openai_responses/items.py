"""The items of an answer while they are streamed: each tells its own events.

Source: OpenAI API reference, "Streaming events".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from llmgate.spec import Reasoning, ToolCall

from .calls import Toolbox
from .reasoning import reasoning_item

__all__ = ["CallItem", "Event", "MessageItem", "ReasoningItem"]

Event: TypeAlias = tuple[str, dict[str, Any]]
"""The kind of an event and its members, but for the sequence number."""


@attrs.define(eq=False)
class MessageItem:
    """A message: text and refusals, one part after the other.

    Args:
        id: Its id.
        index: Its place in the output.
        content: The parts that are whole.
        kind: The kind of the part that is being written, ``""`` for none.
        annotations: The sources behind it so far.
    """

    id: str
    index: int
    content: list[dict[str, Any]] = attrs.field(factory=list)
    kind: str = ""
    annotations: list[dict[str, Any]] = attrs.field(factory=list)
    _pieces: list[str] = attrs.field(factory=list)
    _tokens: list[Mapping[str, Any]] = attrs.field(factory=list)

    @property
    def said(self) -> str:
        """What the part that is being written says so far."""
        return "".join(self._pieces)

    def begin(self) -> Iterable[Event]:
        """The item is there."""
        yield "output_item.added", {"output_index": self.index, "item": self.value("in_progress", [])}

    def add(self, kind: str, text: str, tokens: Sequence[Mapping[str, Any]] = ()) -> Iterable[Event]:
        """A piece of text (``output_text``), with the probabilities of its tokens, or of a refusal (``refusal``)."""
        if self.kind != kind:
            yield from self.end_part()
            self.kind = kind
            yield "content_part.added", {**self._place(), "part": _part(kind, "")}
        self._pieces.append(text)
        self._tokens += tokens
        more: dict[str, Any] = {"logprobs": list(tokens)} if kind == "output_text" else {}
        yield f"{kind}.delta", {**self._place(), "delta": text, **more}

    def annotate(self, annotation: dict[str, Any]) -> Iterable[Event]:
        """A source behind the text that is being written."""
        place = {**self._place(), "annotation_index": len(self.annotations)}
        self.annotations.append(annotation)
        yield "output_text.annotation.added", {**place, "annotation": annotation}

    def end(self, status: str = "completed") -> Iterable[Event]:
        """The item is whole."""
        yield from self.end_part()
        yield "output_item.done", {"output_index": self.index, "item": self.value(status, self.content)}

    def value(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        """The item."""
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}

    def end_part(self) -> Iterable[Event]:
        """The part that is being written is whole."""
        if not self.kind:
            return
        kind, text, place = self.kind, "".join(self._pieces), self._place()
        more: dict[str, Any] = {"logprobs": list(self._tokens)} if kind == "output_text" else {}
        yield f"{kind}.done", {**place, "text" if kind == "output_text" else kind: text, **more}
        part = _part(kind, text) | more
        if self.annotations:
            part["annotations"] = list(self.annotations)
            self.annotations.clear()
        yield "content_part.done", {**place, "part": part}
        self.content.append(part)
        self.kind = ""
        self._pieces.clear()
        self._tokens.clear()

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "content_index": len(self.content)}


@attrs.define(eq=False)
class ReasoningItem:
    """A piece of reasoning: a summary of one part, and the proof of it at the end.

    Args:
        id: Its id.
        index: Its place in the output.
        signature: The proof.
        extra: What else is to be kept with the proof.
        begun: Whether the part of the summary is there.
    """

    id: str
    index: int
    signature: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict)
    begun: bool = False
    _pieces: list[str] = attrs.field(factory=list)

    @property
    def said(self) -> str:
        """What it says so far."""
        return "".join(self._pieces)

    def begin(self) -> Iterable[Event]:
        """The item is there."""
        item = {"id": self.id, "type": "reasoning", "summary": []}
        yield "output_item.added", {"output_index": self.index, "item": item}

    def add(self, text: str) -> Iterable[Event]:
        """A piece of it."""
        if not self.begun:
            self.begun = True
            yield "reasoning_summary_part.added", {**self._place(), "part": _summary("")}
        self._pieces.append(text)
        yield "reasoning_summary_text.delta", {**self._place(), "delta": text}

    def end(self, status: str = "completed") -> Iterable[Event]:  # noqa: ARG002 - the same for every item
        """The item is whole."""
        text = "".join(self._pieces)
        if text:
            yield "reasoning_summary_text.done", {**self._place(), "text": text}
            yield "reasoning_summary_part.done", {**self._place(), "part": _summary(text)}
        yield "output_item.done", {"output_index": self.index, "item": self.done()}

    def done(self) -> dict[str, Any]:
        """The item, whole."""
        return reasoning_item(Reasoning("".join(self._pieces), self.signature, extra=self.extra), self.id)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, "summary_index": 0}


@attrs.define(eq=False)
class CallItem:
    """A call of a tool, in its caller's own kind.

    Args:
        index: Its place in the output.
        call_id: The id of the call.
        name: The tool's name.
        toolbox: The caller's tools.
        item_id: Makes the item's id of its kind.
    """

    index: int
    call_id: str
    name: str
    _toolbox: Toolbox
    _item_id: Callable[[str], str]
    _pieces: list[str] = attrs.field(factory=list)

    @property
    def kind(self) -> str:
        """The kind of item that it is."""
        return self._toolbox.kind(self.name)

    @property
    def said(self) -> str:
        """The arguments so far."""
        return "".join(self._pieces)

    def begin(self) -> Iterable[Event]:
        """The item is there."""
        yield "output_item.added", {"output_index": self.index, "item": self._item("", "in_progress")}

    def add(self, text: str) -> Iterable[Event]:
        """A piece of the arguments; the input of a tool that is no function can be read when they are whole."""
        self._pieces.append(text)
        if self.kind == "function_call":
            yield "function_call_arguments.delta", {**self._place(), "delta": text}

    def end(self, status: str = "completed") -> Iterable[Event]:
        """The item is whole."""
        arguments = "".join(self._pieces)
        if self.kind == "function_call":
            if not arguments:
                arguments = "{}"
                yield from self.add(arguments)
            yield "function_call_arguments.done", {**self._place(), "arguments": arguments}
        item = self._item(arguments, status)
        if self.kind == "custom_tool_call":
            yield "custom_tool_call_input.delta", {**self._place(), "delta": item["input"]}
            yield "custom_tool_call_input.done", {**self._place(), "input": item["input"]}
        yield "output_item.done", {"output_index": self.index, "item": item}

    def _item(self, arguments: str, status: str) -> dict[str, Any]:
        call = ToolCall(self.call_id, self.name, arguments)
        return self._toolbox.item(call, self._item_id(self.kind), status)

    def _place(self) -> dict[str, Any]:
        return {"item_id": self._item_id(self.kind), "output_index": self.index}


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": kind, "text": text, "annotations": [], "logprobs": []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
