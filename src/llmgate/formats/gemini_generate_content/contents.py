"""The conversation: a system instruction, and contents of user and model.

Source: Gemini API reference, "Content"; documentation, "Function calling" and "Thought signatures". A request that came
in this format is written as it was. One that came in another is put into the order which this format demands: the
results of a turn's calls stand together behind it, in the order of the calls, with nothing else beside them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.fields import ShapeError, as_text, optional, rest
from llmgate.formats.thought_signatures import signature_in, signed, unmarked_id
from llmgate.spec import Message, ModelFacts, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse

from .calls import Ledger, is_invented
from .keys import as_camel, as_items
from .parts import decode_parts, encode_part, encode_result
from .thinking import by_level

__all__ = ["UNSIGNED", "decode_contents", "decode_system", "encode_conversation"]

UNSIGNED: Final = base64.b64encode(b"skip_thought_signature_validator").decode("ascii")
"""What Google documents for calls of a history that no model has signed; without it the newest models refuse them."""

_ROLES: Final = {"user": Role.USER, "model": Role.ASSISTANT, "function": Role.USER, "tool": Role.USER}
_CONTENT: Final = frozenset({"role", "parts"})
_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_FILLER: Final = " "
"""The text of a user's content that this format demands and nobody has written."""

_GO_ON: Final = "Continue."
_ATTACHED: Final = "The tool results above include:"


def decode_system(value: Any) -> tuple[Message, ...]:
    """The system instruction as the conversation's first message; none for none.

    Raises:
        ShapeError: it is no content.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message(Role.SYSTEM, (Text(value),)),)
    source = as_camel(value, "systemInstruction")
    parts = decode_parts(source.get("parts"), "systemInstruction.parts")
    return (Message(Role.SYSTEM, parts, extra=rest(source, frozenset({"parts"}))),)


def decode_contents(value: Any) -> tuple[Message, ...]:
    """The turns, each call and each result with an id.

    Contents of the model's that follow one another are one turn: clients that read a stream keep one for each event.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    ledger = Ledger()
    messages: list[Message] = []
    for one, path in as_items(value, "contents"):
        message = ledger.paired(_decode_content(one, path))
        last = messages[-1] if messages else None
        if last is not None and last.role is message.role is Role.ASSISTANT and last.extra == message.extra:
            messages[-1] = attrs.evolve(last, parts=(*last.parts, *message.parts))
        else:
            messages.append(message)
    return tuple(messages)


def encode_conversation(
    messages: Sequence[Message], facts: ModelFacts, *, own: bool = True
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The ``systemInstruction`` (None for none) and the ``contents``.

    Args:
        messages: The conversation, oldest first.
        facts: What the model takes.
        own: Whether it came in this format, and may be written as it is.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role in _SYSTEM:
        leading += 1
    system = _encode_system(messages[:leading], own=own)
    turns = _Turns(facts, own=own)
    for message in messages[leading:]:
        turns.add(message)
    return system, turns.written()


def _decode_content(value: Any, path: str) -> Message:
    source = as_camel(value, path)
    role = optional(source, "role", as_text, path)
    if role and role not in _ROLES:
        raise ShapeError(f"{path}.role", "user or model")
    extra = rest(source, _CONTENT)
    if role not in ("user", "model"):
        extra["role"] = role
    parts = decode_parts(source.get("parts"), f"{path}.parts")
    return Message(_ROLES.get(role or "user", Role.USER), parts, extra=extra)


def _encode_system(messages: Sequence[Message], *, own: bool) -> dict[str, Any] | None:
    if not messages:
        return None
    parts = [encode_part(part, own=own) for message in messages for part in message.parts if own or _speaks(part)]
    if own:
        return {**messages[0].extra, "parts": parts}
    return {"parts": parts} if parts else None


class _Turns:
    """Contents being written.

    Args:
        facts: What the model takes.
        own: Whether the conversation came in this format.
    """

    def __init__(self, facts: ModelFacts, *, own: bool) -> None:
        self._facts = facts
        self._own = own
        self._ids = own or by_level(facts) or facts.budgets is None
        self._contents: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self._called = 0
        self._results: list[tuple[int, dict[str, Any]]] = []
        self._beside: list[dict[str, Any]] = []

    def add(self, message: Message) -> None:
        """The next message."""
        if self._own:
            self._add_own(message)
        elif message.role is Role.ASSISTANT:
            self._add_answer(message)
        else:
            note = message.role in _SYSTEM
            for part in message.parts:
                self._add_input(part, note=note)

    def written(self) -> list[dict[str, Any]]:
        """The contents; the first is the user's, and the last one that the model takes."""
        if self._own:
            return self._contents
        self._flush()
        if not self._contents or self._contents[0]["role"] != "user":
            self._contents.insert(0, {"role": "user", "parts": [{"text": _FILLER}]})
        if self._contents[-1]["role"] == "model" and not self._facts.prefill:
            self._contents.append({"role": "user", "parts": [{"text": _GO_ON}]})
        return self._contents

    def _add_own(self, message: Message) -> None:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ToolCallResponse):
                name = part.extra.get("name") or self._names.get(part.id, "")
                parts.append(encode_result(part, name, self._id_of(part.id), media=True))
            else:
                if isinstance(part, ToolCall):
                    self._names[part.id] = part.name
                    part = attrs.evolve(part, id=self._id_of(part.id))
                parts.append(encode_part(part))
        role = "model" if message.role is Role.ASSISTANT else "user"
        content: dict[str, Any] = {"role": role, "parts": parts, **message.extra}
        if content["role"] is None:
            del content["role"]
        self._contents.append(content)

    def _add_answer(self, message: Message) -> None:
        parts: list[dict[str, Any]] = []
        unsigned = by_level(self._facts)
        for part in _with_signature(message):
            if not isinstance(part, ToolCall):
                if _speaks(part):
                    parts.append(encode_part(part, own=False))
                continue
            call_id, found = unmarked_id(part.id)
            signature = signature_in(part.extra) or found or (UNSIGNED if unsigned else None)
            unsigned = False
            self._names[part.id] = part.name
            self._order[part.id] = self._called = self._called + 1
            call = attrs.evolve(part, id=self._id_of(call_id), extra=signed(signature))
            parts.append(encode_part(call, own=False))
        if parts:
            self._flush()
            self._append("model", parts)

    def _add_input(self, part: Part, *, note: bool) -> None:
        if not isinstance(part, ToolCallResponse):
            if _speaks(part):
                self._beside.append(_note(encode_part(part, own=False), note=note))
            return
        content = [one for one in part.content if _speaks(one)]
        name = self._names.get(part.id)
        if name is None:  # a result without its call, which this format refuses, as plain parts
            self._beside.append({"text": f"Tool result for {part.id}:"})
            self._beside += [encode_part(one, own=False) for one in content]
            return
        inside = by_level(self._facts)
        call_id = self._id_of(unmarked_id(part.id)[0])
        written = encode_result(attrs.evolve(part, content=content), name, call_id, media=inside, own=False)
        self._results.append((self._order.get(part.id, 0), written))
        media = [] if inside else [encode_part(one, own=False) for one in content if not isinstance(one, Text)]
        if media:
            self._beside += [{"text": _ATTACHED}, *media]

    def _flush(self) -> None:
        """The results that have come, in the order of their calls, and behind them what the user says."""
        if self._results:
            ordered = sorted(self._results, key=lambda one: one[0])
            self._contents.append({"role": "user", "parts": [written for _, written in ordered]})
            self._results = []
            if self._beside:
                self._contents.append({"role": "user", "parts": self._beside})
        elif self._beside:
            self._append("user", self._beside)
        self._beside = []

    def _append(self, role: str, parts: list[dict[str, Any]]) -> None:
        last = self._contents[-1] if self._contents else None
        if last is not None and last["role"] == role and "functionResponse" not in last["parts"][-1]:
            last["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    def _id_of(self, call_id: str) -> str:
        return call_id if self._ids and not is_invented(call_id) else ""


def _speaks(part: Part) -> bool:
    """Whether a part says something: empty texts are refused, and a thought is worth nothing unsigned."""
    match part:
        case Text() | Refusal():
            return bool(part.text) or signature_in(getattr(part, "extra", {})) is not None
        case Reasoning():
            return signature_in(part.extra) is not None
        case _:
            return True


def _with_signature(message: Message) -> Sequence[Part]:
    """The parts of an answer; a signature that stands on the whole message belongs to its last text."""
    signature = signature_in(message.extra)
    if signature is None:
        return message.parts
    parts = list(message.parts)
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Text):
            parts[index] = attrs.evolve(part, extra={**part.extra, **signed(signature)})
            return parts
    return [*parts, Text("", extra=signed(signature))]


def _note(part: Mapping[str, Any], *, note: bool) -> dict[str, Any]:
    """What a system message in the midst of a conversation says, for a model that hears the user and itself only."""
    return {**part, "text": f"System note: {part['text']}"} if note and "text" in part else dict(part)
