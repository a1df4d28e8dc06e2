"""Streams of chat completion chunks: a relay that looks as little as it can, a decoder and an encoder.

Source: OpenAI API reference, "The chat completion chunk object". A stream is complete with ``data: [DONE]`` and with
nothing else: a server that sends a finish reason and closes may just as well have been cut off behind a proxy, and
nobody can tell the two apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.codecs.sse import EventSplitter, encode_event, event_data, event_name
from llmgate.formats.custom_tools import CUSTOM, free_text
from llmgate.formats.losses import UNSAID_CITATIONS
from llmgate.formats.reading import FAILED, FrameReader
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    GatewayError,
    Role,
    StreamEncoder,
    Text,
    ToolCallDelta,
    Usage,
)

from .chunks import CallPlaces, choices_in, decode_chunk, encode_choices, is_usage_only, usage_in
from .citations import encode_annotations, says
from .errors import encode_error, error_in
from .responses import answer_text, finish_in
from .usage import encode_usage, service_tier

__all__ = ["ChatStreamEncoder", "ChatStreamReader"]

_DONE: Final = b"[DONE]"
_TERMINAL: Final = b"data: [DONE]\n\n"
_OPENS: Final = b"data: {"
_CLOSES: Final = b"}\n\n"
_NOT_PLAIN: Final = (b'"error', b"\ndata: [")
_FINISH: Final = re.compile(rb'"finish_reason"(?!: ?null)')
_USAGE: Final = re.compile(rb'"usage"(?!: ?null)')
_MARK: Final = b'"llmgate-text"'
"""Stands for the text while what is around it is found out."""
_BURST: Final = 4
"""From how many events in one piece on they are looked at together."""


class ChatStreamReader(FrameReader):
    """Reads one stream of chat completion chunks.

    Args:
        withhold_usage: Whether the usage-only event is kept from the client.
    """

    def __init__(self, *, withhold_usage: bool = False) -> None:
        super().__init__(EventSplitter(), "chat completion chunks")
        self._withhold_usage = withhold_usage
        self._places = CallPlaces()

    def _observe(self, raw: bytes) -> bool:
        """Look at an event; whether it goes down to the client."""
        value = self._value(raw)
        if value is None:
            return not self._ended
        self._note(value)
        return not (self._withhold_usage and is_usage_only(value))

    def _decode(self, raw: bytes) -> GatewayChunk:
        value = self._value(raw)
        if value is None:
            return GatewayChunk(final=self.outcome.complete, error=self.outcome.error, raw=raw)
        self._note(value)
        if self._withhold_usage and is_usage_only(value):
            raw = b""
        if self.outcome.finish_reason is FinishReason.ERROR:
            self.outcome.error = ErrorDetail(FAILED)
            return GatewayChunk(error=self.outcome.error, raw=raw)
        self._places.give(value)
        return decode_chunk(value, raw)

    def _value(self, raw: bytes) -> dict[str, Any] | None:
        """The JSON of an event; None for one without, for the terminal marker and for an error, which are noted."""
        data = event_data(raw)
        if data is None or not data.strip():
            return None
        if data.strip() == _DONE:
            self._note_terminal(raw)
            return None
        try:
            value = loads(data)
        except JSONError as error:
            raise self._broken(f"an event is {error}") from None
        if isinstance(value, list):  # Gemini's compatible endpoint wraps errors in an array
            value = next((one for one in value if isinstance(one, dict) and "error" in one), None)
        if not isinstance(value, dict):
            raise self._broken("an event is not a JSON object")
        self.outcome.error = error_in(value)
        if self.outcome.error is None and event_name(raw) == b"error":
            message = value.get("message")
            self.outcome.error = ErrorDetail(message if isinstance(message, str) else "the provider sent an error")
        return value if self.outcome.error is None else None

    def _is_plain(self, raw: bytes) -> bool:
        return _is_plain(raw)

    def _count_plain(self, frames: Sequence[bytes], start: int) -> int:
        return _count_plain(frames, start)

    def _ends(self, raw: bytes) -> bool:
        return (event_data(raw) or b"").strip() == _DONE

    def _note(self, value: Mapping[str, Any]) -> None:
        outcome = self.outcome
        if outcome.response_id is None and isinstance(value.get("id"), str):
            outcome.response_id = value["id"] or None
        if outcome.model is None and isinstance(value.get("model"), str):
            outcome.model = value["model"] or None
        outcome.usage = usage_in(value) or outcome.usage
        outcome.service_tier = service_tier(value.get("service_tier")) or outcome.service_tier
        for choice in choices_in(value):
            reason = finish_in(choice)
            if reason is not None and choice.get("index", 0) == 0:
                outcome.finish_reason = reason
            outcome.content = outcome.content or answer_text(choice.get("delta"))


class ChatStreamEncoder(StreamEncoder):
    """Writes one stream of chat completion chunks.

    Usage goes out once, in an event of its own before the terminal marker, wherever the provider had put it.

    Args:
        include_usage: Whether the client asked for usage at the end.
        functions: Whether the client reads calls of functions, as they were before tools.
        custom: The names of the client's custom tools; a call of one can be read when it is whole.
    """

    def __init__(
        self, *, include_usage: bool = False, functions: bool = False, custom: Collection[str] = frozenset()
    ) -> None:
        self._custom = custom
        self._held: dict[tuple[int, int], ToolCallDelta] = {}
        self._functions = functions
        self._include_usage = include_usage
        self._head: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._usage: Usage | None = None
        self._speaking: set[int] = set()
        self._around: dict[int, tuple[bytes, bytes]] = {}
        self._lengths: dict[int, int] = {}

    def encode(self, chunk: GatewayChunk) -> bytes:
        """The event; ``b""`` for a chunk that says nothing now."""
        if chunk.final:
            return self._held_event() + self._usage_event() + _TERMINAL
        if self._custom:
            chunk = self._without_held(chunk)
        if chunk.error is not None:
            detail = chunk.error
            error = {"message": detail.message, "type": detail.type, "param": detail.param, "code": detail.code}
            return encode_event(dumps({"error": error}))
        head = self._head
        for name, value in (("id", chunk.id), ("created", chunk.created), ("model", chunk.model)):
            if value is not None and head[name] != value:
                head[name] = value
                self._around.clear()
        self._usage = chunk.usage or self._usage
        if not chunk.extra:
            if not chunk.choices:
                return b""
            text = _text_alone(chunk.choices)
            if text is not None and (index := chunk.choices[0].index) in self._speaking:
                self._lengths[index] = self._lengths.get(index, 0) + len(text)
                return self._text_event(index, text)
        choices = [shown for choice in chunk.choices if (shown := self._annotated(choice)) is not None]
        return self._event(attrs.evolve(chunk, choices=choices)) if choices or not chunk.choices else b""

    def _without_held(self, chunk: GatewayChunk) -> GatewayChunk:
        """A chunk without pieces of calls of custom tools; with all of them where its answer ends."""
        return attrs.evolve(chunk, choices=[self._without_held_calls(choice) for choice in chunk.choices])

    def _without_held_calls(self, choice: ChoiceDelta) -> ChoiceDelta:
        kept = []
        for call in choice.tool_calls:
            place = (choice.index, call.index)
            held = self._held.get(place)
            if held is not None:
                self._held[place] = attrs.evolve(held, arguments=held.arguments + call.arguments)
            elif call.name in self._custom:
                self._held[place] = call
            else:
                kept.append(call)
        if choice.finish_reason is not None:
            kept += [_shown(self._held.pop(place)) for place in sorted(self._held) if place[0] == choice.index]
        return attrs.evolve(choice, tool_calls=kept) if len(kept) != len(choice.tool_calls) or kept else choice

    def _held_event(self) -> bytes:
        """The calls of custom tools whose answer has no end of its own."""
        if not self._held:
            return b""
        found = [ChoiceDelta(index, tool_calls=(_shown(call),)) for (index, _), call in sorted(self._held.items())]
        self._held.clear()
        return self._event(GatewayChunk(found))

    def _annotated(self, choice: ChoiceDelta) -> ChoiceDelta | None:
        """A piece with the sources in it as annotations, unless it came with some; None where nothing is left of it."""
        texts = [part for part in choice.parts if isinstance(part, Text)]
        length = self._lengths[choice.index] = self._lengths.get(choice.index, 0) + sum(len(one.text) for one in texts)
        citations = [one for part in texts for one in part.citations]
        delta = choice.extra.get("delta", {})
        if not citations:
            return choice
        parts = tuple(part for part in choice.parts if not isinstance(part, Text) or part.text)
        if not all(map(says, citations)):
            self.unsaid.add(UNSAID_CITATIONS)
        annotations = encode_annotations(citations, length)
        if annotations and "annotations" not in delta:
            delta = {**delta, "annotations": annotations}
        choice = attrs.evolve(choice, parts=parts, extra={**choice.extra, "delta": delta} if delta else choice.extra)
        return None if choice == ChoiceDelta(choice.index) else choice

    def _event(self, chunk: GatewayChunk) -> bytes:
        choices = encode_choices([self._begun(choice) for choice in chunk.choices], functions=self._functions)
        return encode_event(dumps({**chunk.extra, **self._head, "choices": choices}))

    def _text_event(self, index: int, text: str) -> bytes:
        """An event with text and nothing else: what is around the text is the same for all of an answer's."""
        around = self._around.get(index)
        if around is None:
            before, found, behind = self._event(_sample(index)).partition(_MARK)
            around = self._around[index] = (before, behind)
            if not found or _MARK in behind:
                del self._around[index]  # whoever named the answer named it so
                return self._event(_sample(index, text))
        return around[0] + dumps(text) + around[1]

    def passed(self, chunk: GatewayChunk) -> bytes:
        """Chunks stand by themselves; only usage that has been encoded goes before the terminal marker."""
        self._speaking.update(choice.index for choice in chunk.choices)
        return self._usage_event() if chunk.final else b""

    def error(self, error: GatewayError) -> bytes:
        """The error as an event; nothing follows it."""
        return encode_event(encode_error(error))

    def _begun(self, choice: ChoiceDelta) -> ChoiceDelta:
        """A piece, with a role if it is the first of its answer: clients demand one, and join what comes again."""
        role = None if choice.index in self._speaking else choice.role or Role.ASSISTANT.value
        self._speaking.add(choice.index)
        return choice if choice.role == role else attrs.evolve(choice, role=role)

    def _usage_event(self) -> bytes:
        if self._usage is None or not self._include_usage:
            return b""
        return encode_event(dumps({**self._head, "choices": [], "usage": encode_usage(self._usage)}))


def _shown(call: ToolCallDelta) -> ToolCallDelta:
    """A whole call of a custom tool, in the words of this format."""
    given = {"name": call.name, "input": free_text(call.arguments)}
    return attrs.evolve(call, name=None, arguments="", extra={**call.extra, CUSTOM: given})


def _text_alone(choices: Sequence[ChoiceDelta]) -> str | None:
    """The text of a chunk that says nothing else, as nearly every chunk does; None for any other."""
    if len(choices) != 1:
        return None
    (choice,) = choices
    if len(choice.parts) != 1 or choice.refusal is not None or choice.tool_calls:
        return None
    if choice.finish_reason is not None or choice.stop_sequence is not None or choice.extra:
        return None
    part = choice.parts[0]
    return part.text if isinstance(part, Text) and not part.citations else None


def _sample(index: int, text: str = "llmgate-text") -> GatewayChunk:
    return GatewayChunk(choices=(ChoiceDelta(index, parts=(Text(text),)),))


def _is_plain(raw: bytes) -> bool:
    """Whether an event behind the first content is a delta that need not be read: most are.

    Every test is a search for bytes. A name stands unescaped in quotes only as a name or a whole value, so that text
    which speaks of errors or usage is not mistaken; what merely might matter is read.
    """
    if not raw.startswith(_OPENS) or b'"error' in raw:
        return False
    if not (raw.find(b"\n") == len(raw) - 2 and raw.endswith(_CLOSES) and b"\r" not in raw):
        return False
    return _FINISH.search(raw) is None and _USAGE.search(raw) is None


def _count_plain(events: Sequence[bytes], start: int) -> int:
    """How many events from ``start`` on are seen at one look to be plain; those behind them may be, too.

    A burst of events is proved plain as a whole, by what ``_is_plain`` asks of each.
    """
    if len(events) - start < _BURST:
        return 0
    text = b"".join(events[start:] if start else events)
    for sign in _NOT_PLAIN:
        text = _up_to_event(text, text.find(sign))
    for telling in (_FINISH, _USAGE):
        found = telling.search(text)
        text = _up_to_event(text, found.start() if found is not None else -1)
    whole = text.startswith(_OPENS) and text.endswith(_CLOSES) and b"\r" not in text
    count = text.count(_CLOSES + _OPENS) + 1
    return count if whole and text.count(b"\n") == 2 * count else 0


def _up_to_event(text: bytes, place: int) -> bytes:
    """The events before the one that ``place`` is in; all of them when there is no such place."""
    if place < 0:
        return text
    end = text.rfind(b"\n\n", 0, place + 1)
    return text[: end + 2] if end >= 0 else b""
