"""One event of a stream to a piece of the canonical answer.

Source: Cohere documentation, "Streaming" (v2). What the canonical piece counts is tool calls, in the order in which
they begin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.citations import MOST_CHECKED, SaidText, placed
from llmgate.spec import ChoiceDelta, Reasoning, Text, ToolCallDelta

from .citations import decode_citation
from .parts import TOOL_PLAN

__all__ = ["EventReader"]

_NULL: Final = "null"
"""What some models write for the arguments of a tool that has none."""


class EventReader:
    """Reads the events between the first and the last of a stream."""

    def __init__(self) -> None:
        self._calls: dict[int, int] = {}
        self._text = SaidText(keeps=True)
        self._cited = 0
        self._begun: dict[int, int] = {}
        """Where the text of each content block begins among it."""
        self._said: dict[int, str] = {}
        """Of each open call whose arguments say nothing yet: what was held back of them."""

    def read(self, kind: str, value: Mapping[str, Any]) -> ChoiceDelta | None:
        """What an event says, None for nothing."""
        index = value.get("index")
        index = index if isinstance(index, int) else 0
        delta = value.get("delta")
        message = delta.get("message") if isinstance(delta, dict) else None
        message = message if isinstance(message, dict) else {}
        match kind:
            case "message-start":
                return ChoiceDelta(role="assistant")
            case "content-start" | "content-delta":
                return self._content(index, message.get("content"))
            case "citation-start":
                return self._sources(message.get("citations"))
            case "tool-plan-delta":
                plan = message.get(TOOL_PLAN)
                if not isinstance(plan, str) or not plan:
                    return None
                return ChoiceDelta(parts=(Text(plan, extra={"field": TOOL_PLAN}),))
            case "tool-call-start" | "tool-call-delta":
                return self._call(kind, index, message.get("tool_calls"))
            case "tool-call-end" if index in self._said:  # a call without parameters
                del self._said[index]
                return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments="{}"),))
            case _:
                return None

    def _content(self, index: int, content: Any) -> ChoiceDelta | None:
        delta = _content(content)
        for part in delta.parts if delta is not None else ():
            if isinstance(part, Text):
                self._begun.setdefault(index, self._text.length)
                self._text.add(part.text)
        return delta

    def _sources(self, given: Any) -> ChoiceDelta | None:
        """The sources behind words that have been said."""
        value = given[0] if isinstance(given, list) and given else given
        if not isinstance(value, dict):
            return None
        index = value.get("content_index")
        begun = self._begun.get(index, 0) if isinstance(index, int) else min(self._begun.values(), default=0)
        self._cited += 1
        found = decode_citation(value, self._text.text[begun:] if self._cited <= MOST_CHECKED else None)
        at = (
            one if one.start is None or one.end is None else placed(one, begun + one.start, begun + one.end)
            for one in found
        )
        return ChoiceDelta(parts=(Text("", citations=tuple(at)),))

    def _call(self, kind: str, index: int, call: Any) -> ChoiceDelta | None:
        call = call[0] if isinstance(call, list) and call else call
        call = call if isinstance(call, dict) else {}
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        arguments = _arguments(function.get("arguments"))
        if kind == "tool-call-start":
            number = self._calls[index] = len(self._calls)
            call_id, name = call.get("id"), function.get("name")
            self._said[index] = ""
            arguments = self._held_back(index, arguments)
            return ChoiceDelta(
                tool_calls=(
                    ToolCallDelta(
                        number,
                        id=call_id if isinstance(call_id, str) and call_id else f"call_{number}",
                        name=name if isinstance(name, str) else None,
                        arguments=arguments,
                    ),
                )
            )
        if index not in self._calls:
            return None
        arguments = self._held_back(index, arguments)
        return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments=arguments),)) if arguments else None

    def _held_back(self, index: int, arguments: str) -> str:
        """The arguments that may go on, less what may turn out to be the null of a call without any."""
        if index not in self._said:
            return arguments
        so_far = self._said[index] + arguments
        if _NULL.startswith(so_far.strip()):
            self._said[index] = so_far
            return ""
        del self._said[index]
        return so_far


def _content(content: Any) -> ChoiceDelta | None:
    if not isinstance(content, dict):
        return None
    text, thought = content.get("text"), content.get("thinking")
    if isinstance(thought, str) and thought:
        return ChoiceDelta(parts=(Reasoning(thought),))
    return ChoiceDelta(parts=(Text(text),)) if isinstance(text, str) and text else None


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return dumps(value).decode() if isinstance(value, dict) and value else ""
