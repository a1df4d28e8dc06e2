"""One event of a stream to the canonical chunk.

Source: OpenAI API reference, "Streaming events". Nearly everything is said twice or more: in pieces, whole when the
part is over, whole again with its item and with the response. The pieces count; what no piece has told is taken from
where it is told next, since some servers leave pieces out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.citations import placed
from llmgate.formats.fields import ShapeError
from llmgate.formats.logprobs import choice_logprobs
from llmgate.spec import ChoiceDelta, Citation, Reasoning, Text, ToolCallDelta

from .calls import CALLS, decode_call
from .citations import decode_annotation, decode_annotations
from .reasoning import GAP, signature_of, text_of
from .tools import joined

__all__ = ["ItemReader"]

_THOUGHTS: Final = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})


class ItemReader:
    """Reads the events of output items into pieces of one answer.

    Args:
        unread: Takes the names of items that it passes over.
    """

    def __init__(self, unread: set[str] | None = None) -> None:
        self._unread = set() if unread is None else unread
        self._calls: dict[int, int] = {}
        self._told: set[tuple[str, int, int]] = set()
        """What pieces have told, by kind, item and part."""
        self._signed: set[int] = set()
        self._length = 0
        """Code points of the text so far."""
        self._begun: dict[tuple[int, int], int] = {}
        """Where the text of each part begins among it."""

    def read(self, kind: str, value: Mapping[str, Any]) -> ChoiceDelta | None:
        """What an event says, None for nothing."""
        index = _number(value, "output_index")
        if kind == "response.output_text.delta":
            delta = self._text(index, _number(value, "content_index"), value.get("delta"))
            shown = value.get("logprobs")
            return attrs.evolve(delta, extra=choice_logprobs(shown)) if shown and delta is not None else delta
        if kind in _THOUGHTS:
            return self._thought(index, value.get("delta"))
        if kind == "response.function_call_arguments.delta":
            return self._arguments(index, value.get("delta"))
        match kind:
            case "response.output_text.annotation.added":
                return self._annotation(index, _number(value, "content_index"), value.get("annotation"))
            case "response.output_item.added":
                return self._added(index, _object(value, "item"))
            case "response.output_item.done":
                return self._done(index, _object(value, "item"))
            case "response.output_text.done":
                return self._unsaid_text(index, _number(value, "content_index"), value.get("text"))
            case "response.refusal.delta":
                return self._refusal(index, _number(value, "content_index"), value.get("delta"))
            case "response.reasoning_summary_part.added" if ("thought", index, 0) in self._told:
                return self._thought(index, GAP)
            case "response.function_call_arguments.done" if ("call", index, 0) not in self._told:
                return self._arguments(index, value.get("arguments"))
            case _:
                return None

    def _text(self, index: int, part: int, text: Any) -> ChoiceDelta | None:
        if not isinstance(text, str) or not text:
            return None
        self._told.add(("text", index, part))
        self._begun.setdefault((index, part), self._length)
        self._length += len(text)
        return ChoiceDelta(parts=(Text(text),))

    def _annotation(self, index: int, part: int, value: Any) -> ChoiceDelta | None:
        found = decode_annotation(value, None)
        if found is None:
            return None
        self._told.add(("annotation", index, part))
        return ChoiceDelta(parts=(Text("", citations=(self._at(found, index, part),)),))

    def _at(self, citation: Citation, index: int, part: int) -> Citation:
        """A source with its place in all the text."""
        begun = self._begun.get((index, part), self._length)
        if citation.start is None or citation.end is None:
            return placed(citation, begun, self._length)
        return placed(citation, begun + citation.start, begun + citation.end)

    def _unsaid_text(self, index: int, part: int, text: Any) -> ChoiceDelta | None:
        return None if ("text", index, part) in self._told else self._text(index, part, text)

    def _refusal(self, index: int, part: int, text: Any) -> ChoiceDelta | None:
        if not isinstance(text, str) or not text:
            return None
        self._told.add(("text", index, part))
        return ChoiceDelta(refusal=text)

    def _thought(self, index: int, text: Any) -> ChoiceDelta | None:
        if not isinstance(text, str) or not text:
            return None
        self._told.add(("thought", index, 0))
        extra = {"type": "thinking"} if index in self._signed else {}
        return ChoiceDelta(parts=(Reasoning(text, extra=extra),))

    def _arguments(self, index: int, text: Any) -> ChoiceDelta | None:
        if not isinstance(text, str) or not text or index not in self._calls:
            return None
        self._told.add(("call", index, 0))
        return ChoiceDelta(tool_calls=(ToolCallDelta(self._calls[index], arguments=text),))

    def _added(self, index: int, item: Mapping[str, Any]) -> ChoiceDelta | None:
        kind = item.get("type")
        if kind == "reasoning" and item.get("encrypted_content"):
            self._signed.add(index)
        if kind not in CALLS or index in self._calls:
            return None
        number = self._calls.setdefault(index, len(self._calls))
        call_id, name, space = item.get("call_id"), item.get("name"), item.get("namespace")
        name = name if isinstance(name, str) else "local_shell"
        return ChoiceDelta(
            tool_calls=(
                ToolCallDelta(
                    number,
                    id=call_id if isinstance(call_id, str) else None,
                    name=joined(space, name) if isinstance(space, str) else name,
                ),
            )
        )

    def _done(self, index: int, item: Mapping[str, Any]) -> ChoiceDelta | None:
        kind = item.get("type")
        if kind == "message":
            return self._whole_message(index, item)
        if kind == "reasoning":
            return self._whole_thought(index, item)
        if kind not in CALLS:
            self._unread.add(f"answer.{kind}"[:64])
            return None
        begun = self._added(index, item)
        if ("call", index, 0) in self._told:
            return begun
        self._told.add(("call", index, 0))
        rest = ToolCallDelta(self._calls[index], arguments=_arguments_of(item))
        return ChoiceDelta(tool_calls=(rest,) if begun is None else (*begun.tool_calls, rest))

    def _whole_message(self, index: int, item: Mapping[str, Any]) -> ChoiceDelta | None:
        content = item.get("content")
        parts: list[Text] = []
        refusals = []
        for place, one in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(one, dict):
                continue
            parts += self._unsaid_part(index, place, one)
            if ("text", index, place) in self._told:
                continue
            if isinstance(one.get("refusal"), str) and one["refusal"]:
                refusals.append(one["refusal"])
        return ChoiceDelta(parts=tuple(parts), refusal="".join(refusals) or None) if parts or refusals else None

    def _unsaid_part(self, index: int, place: int, part: Mapping[str, Any]) -> Iterable[Text]:
        """What no piece has told of a part of a message: its text, the sources behind it."""
        if (delta := self._unsaid_text(index, place, part.get("text"))) is not None:
            yield from (one for one in delta.parts if isinstance(one, Text))
        if part.get("annotations") and ("annotation", index, place) not in self._told:
            found = decode_annotations(part["annotations"], None)
            if found:
                yield Text("", citations=tuple(self._at(one, index, place) for one in found))

    def _whole_thought(self, index: int, item: Mapping[str, Any]) -> ChoiceDelta | None:
        text = "" if ("thought", index, 0) in self._told else text_of(item)
        signature = signature_of(item)
        if not text and signature is None:
            return None
        return ChoiceDelta(parts=(Reasoning(text, signature),))


def _arguments_of(item: Mapping[str, Any]) -> str:
    try:
        return decode_call({"call_id": "", "name": "", **item}, "item").arguments or "{}"
    except ShapeError:
        return dumps(item.get("input") or {}).decode()


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _number(value: Mapping[str, Any], name: str) -> int:
    number = value.get(name)
    return number if isinstance(number, int) else 0
