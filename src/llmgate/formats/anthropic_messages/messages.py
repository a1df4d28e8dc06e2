"""The conversation: a system prompt, and turns of user and assistant.

Source: Anthropic API reference, "Create a Message", ``system`` and ``messages``. A request that came in this format is
written as it was. One that came in another is put into the order which this format demands: turns of one role become
one, the results of a turn's tool calls come first in the turn after it, and every call has an id of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.fields import ShapeError, as_object, as_text, rest
from llmgate.spec import Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse

from .parts import decode_content, encode_block, encode_blocks

__all__ = ["decode_message", "decode_system", "encode_conversation"]

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_FILLER: Final = "."
"""The text of a user turn that this format demands and nobody has written."""

_GO_ON: Final = "Continue."


def decode_system(value: Any) -> tuple[Message, ...]:
    """The system prompt as the conversation's first message; none for none.

    Raises:
        ShapeError: it is neither a string nor an array of blocks.
    """
    return () if value is None else (Message(Role.SYSTEM, decode_content(value, "system")),)


def decode_message(value: Any, path: str) -> Message:
    """A turn.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    source = as_object(value, path)
    role = as_text(source.get("role"), f"{path}.role")
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(_ROLES)}")
    parts = decode_content(source.get("content"), f"{path}.content")
    return Message(_ROLES[role], parts, extra=rest(source, frozenset({"role", "content"})))


def encode_conversation(
    messages: Sequence[Message], *, own: bool = True, system_turns: bool = True, prefill: bool = True
) -> tuple[Any, list[dict[str, Any]]]:
    """The ``system`` (None for none) and the ``messages``.

    Args:
        messages: The conversation, oldest first.
        own: Whether it came in this format, and may be written as it is.
        system_turns: Whether the model takes system messages in the midst of a conversation.
        prefill: Whether the model takes a conversation that ends with the assistant's turn.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role in _SYSTEM:
        leading += 1
    system = [part for message in messages[:leading] for part in _system_parts(message, own=own)]
    turns = messages[leading:]
    if own:
        return _content(system, own=True) if leading else None, [_own_turn(message) for message in turns]
    writer = _Turns(system_turns=system_turns)
    for message in turns:
        writer.add(message)
    return encode_blocks(system, own=False) or None, writer.finished(prefill=prefill)


def _system_parts(message: Message, *, own: bool) -> Iterable[Part]:
    return message.parts if own else (part for part in message.parts if not isinstance(part, Text) or part.text)


def _own_turn(message: Message) -> dict[str, Any]:
    role = {Role.TOOL: Role.USER, Role.DEVELOPER: Role.SYSTEM}.get(message.role, message.role)
    return {**message.extra, "role": role.value, "content": _content(message.parts, own=True)}


def _content(parts: Sequence[Part], *, own: bool) -> Any:
    if len(parts) == 1 and isinstance(parts[0], Text) and not (parts[0].extra or parts[0].citations):
        return parts[0].text
    return encode_blocks(parts, own=own)


class _Turns:
    """Writes a conversation of another format turn by turn.

    Args:
        system_turns: Whether system messages may stand between turns.
    """

    def __init__(self, *, system_turns: bool) -> None:
        self._system_turns = system_turns
        self._turns: list[tuple[str, list[dict[str, Any]]]] = []
        self._open: dict[str, str] = {}
        """Calls of the last assistant's turn that have no result yet: their ids in this format by those given."""
        self._order: dict[str, int] = {}
        self._used: set[str] = set()

    def add(self, message: Message) -> None:
        """The next message."""
        if message.role in _SYSTEM:
            self._system(message)
        elif message.role is Role.ASSISTANT:
            self._assistant(message)
        else:
            self._user(message)

    def finished(self, *, prefill: bool) -> list[dict[str, Any]]:
        """The turns: the first of them the user's, the last of them one that the model takes."""
        turns = self._turns
        if not turns or turns[0][0] != "user":
            turns.insert(0, ("user", [_text(_FILLER)]))
        if turns[-1][0] == "assistant":
            if prefill:
                _trim(turns[-1][1])
            else:
                turns.append(("user", [_text(_GO_ON)]))
        return [{"role": role, "content": _short(blocks)} for role, blocks in turns if blocks]

    def _system(self, message: Message) -> None:
        blocks = encode_blocks(_spoken(message.parts), own=False)
        if not blocks:
            return
        if self._system_turns:
            self._blocks_of("system").extend(blocks)
        else:
            self._blocks_of("user").extend(_note(block) for block in blocks)

    def _assistant(self, message: Message) -> None:
        spoken = _spoken(message.parts)
        calls = [part for part in spoken if isinstance(part, ToolCall)]
        if spoken and not (self._turns and self._turns[-1][0] == "assistant"):
            self._open, self._order = {}, {}
        thoughts = [part for part in spoken if isinstance(part, Reasoning)]
        others = [part for part in spoken if not isinstance(part, ToolCall | Reasoning)]
        blocks = encode_blocks([*thoughts, *others], own=False)
        blocks += [encode_block(attrs.evolve(call, id=self._call_id(call)), own=False) for call in calls]
        if blocks:
            self._blocks_of("assistant").extend(_marked(blocks, message.extra))

    def _user(self, message: Message) -> None:
        results: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for part in _spoken(message.parts):
            if not isinstance(part, ToolCallResponse):
                others.append(encode_block(part, own=False))
            elif part.id in self._open:
                results.append(encode_block(attrs.evolve(part, id=self._open.pop(part.id)), own=False))
            else:
                others += _orphan(part)
        if results:
            self._add_results(results)
        if others:
            self._blocks_of("user").extend(_marked(others, message.extra))

    def _add_results(self, results: Sequence[dict[str, Any]]) -> None:
        """The results of the last turn's calls stand first in the turn behind it, in the order of the calls."""
        notes = []
        while self._turns and self._turns[-1][0] == "system":
            notes.append(self._turns.pop())
        blocks = self._blocks_of("user")
        self._turns += reversed(notes)
        head = [*(block for block in blocks if block["type"] == "tool_result"), *results]
        tail = [block for block in blocks if block["type"] != "tool_result"]
        blocks[:] = [*sorted(head, key=lambda block: self._order[block["tool_use_id"]]), *tail]

    def _call_id(self, call: ToolCall) -> str:
        """An id that is legal and that no other call of the conversation has; the same conversation gives the same."""
        legal = _NOT_IN_ID.sub("_", call.id) or "call"
        if legal != call.id or legal in self._used:
            seed = f"{call.id}\0{len(self._used)}".encode("utf-8", "replace")
            legal = f"{legal[:48]}_{hashlib.sha256(seed).hexdigest()[:8]}"
        self._used.add(legal)
        self._open[call.id] = legal
        self._order[legal] = len(self._order)
        return legal

    def _blocks_of(self, role: str) -> list[dict[str, Any]]:
        """The blocks of the last turn if it is of that role, else of a new one."""
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        return self._turns[-1][1]


def _spoken(parts: Sequence[Part]) -> list[Part]:
    """Parts that say something: empty texts are refused by this format, and thoughts that nobody has signed."""
    spoken: list[Part] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) if not text.strip():
                continue
            case Reasoning(signature=None | "") if "data" not in part.extra:
                continue
            case _:
                spoken.append(part)
    return spoken


def _orphan(result: ToolCallResponse) -> list[dict[str, Any]]:
    """A result without its call, which this format refuses, as plain blocks."""
    return [_text(f"Tool result for {result.id}:"), *encode_blocks(_spoken(result.content), own=False)]


def _marked(blocks: list[dict[str, Any]], extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a message; a cache mark on the whole message is one on its last block."""
    mark = extra.get("cache_control")
    if isinstance(mark, dict) and blocks:
        blocks[-1] = {"cache_control": mark, **blocks[-1]}
    return blocks


def _note(block: dict[str, Any]) -> dict[str, Any]:
    """What a system message says, for a model that hears the user and itself only."""
    return {**block, "text": f"System note: {block['text']}"} if block["type"] == "text" else block


def _trim(blocks: list[dict[str, Any]]) -> None:
    """A turn that the model is to go on with cannot end in white space."""
    last = blocks[-1]
    if last["type"] == "text":
        blocks[-1] = {**last, "text": last["text"].rstrip()}


def _short(blocks: list[dict[str, Any]]) -> Any:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
