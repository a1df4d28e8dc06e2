"""A conversation of another format, put into the order which this one demands.

Source: Amazon Bedrock user guide, "Using the Converse API", "Tool use". Turns of user and assistant alternate and the
user's is the first; the results of a turn's calls come first in the turn after it; every call has an id of its own; no
text is blank, and a document has a text beside it and a name of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.anthropic_messages.parts import REDACTED
from llmgate.formats.inner_losses import CACHE_MARK
from llmgate.spec import Blob, Message, Part, Reasoning, Refusal, Role, Text, ToolCall, ToolCallResponse, Uri

__all__ = ["arranged"]

_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_NOT_IN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_ID: Final = 64
_NOT_IN_NAME: Final = re.compile(r"[^a-zA-Z0-9 ()\[\]-]+")
_SPACES: Final = re.compile(r" {2,}")
_LONGEST_NAME: Final = 200
_FILLER: Final = "."
"""A text that this format demands and nobody has written."""

_NOTHING: Final = "(no content)"
_GO_ON: Final = "Continue."


def arranged(messages: Sequence[Message], *, system_turns: bool, prefill: bool) -> tuple[Message, ...]:
    """The conversation in the order that the format demands, the system's first words at its beginning.

    Args:
        messages: The conversation, oldest first; none of its parts is one that the format cannot say.
        system_turns: Whether the model takes system messages in the midst of a conversation.
        prefill: Whether the model takes a conversation that ends with the assistant's turn.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role in _SYSTEM:
        leading += 1
    system = [part for message in messages[:leading] for part in _marked(_spoken(message.parts), message.extra)]
    turns = _Turns(system_turns=system_turns)
    for message in messages[leading:]:
        turns.add(message)
    return (*((Message(Role.SYSTEM, tuple(system)),) if system else ()), *turns.finished(prefill=prefill))


class _Turns:
    """Puts messages together turn by turn.

    Args:
        system_turns: Whether system messages may stand between turns.
    """

    def __init__(self, *, system_turns: bool) -> None:
        self._system_turns = system_turns
        self._turns: list[tuple[Role, list[Part]]] = []
        self._open: dict[str, str] = {}
        """Calls of the last assistant's turn that have no result yet: their ids here by those given."""
        self._order: dict[str, int] = {}
        self._used: set[str] = set()
        self._names: set[str] = set()

    def add(self, message: Message) -> None:
        """The next message."""
        if message.role in _SYSTEM:
            self._system(message)
        elif message.role is Role.ASSISTANT:
            self._assistant(message)
        else:
            self._user(message)

    def finished(self, *, prefill: bool) -> list[Message]:
        """The turns: the first of them the user's, the last of them one that the model takes."""
        turns = self._turns
        if not turns or turns[0][0] is not Role.USER:
            turns.insert(0, (Role.USER, [Text(_FILLER)]))
        if turns[-1][0] is Role.ASSISTANT:
            if prefill:
                _trim(turns[-1][1])
            else:
                turns.append((Role.USER, [Text(_GO_ON)]))
        return [Message(role, tuple(_accompanied(parts))) for role, parts in turns if parts]

    def _system(self, message: Message) -> None:
        parts = _spoken(message.parts)
        if not parts:
            return
        if self._system_turns:
            self._parts_of(Role.SYSTEM).extend(parts)
            return
        notes = [attrs.evolve(one, text=f"System note: {one.text}") if isinstance(one, Text) else one for one in parts]
        self._parts_of(Role.USER).extend(notes)

    def _assistant(self, message: Message) -> None:
        spoken = _spoken(message.parts)
        calls = [part for part in spoken if isinstance(part, ToolCall)]
        if spoken and not (self._turns and self._turns[-1][0] is Role.ASSISTANT):
            self._open, self._order = {}, {}
        thoughts = [part for part in spoken if isinstance(part, Reasoning)]
        others = [part for part in spoken if not isinstance(part, ToolCall | Reasoning)]
        parts = [*thoughts, *others, *(attrs.evolve(call, id=self._call_id(call)) for call in calls)]
        if parts:
            self._parts_of(Role.ASSISTANT).extend(_marked(parts, message.extra))

    def _user(self, message: Message) -> None:
        results: list[Part] = []
        others: list[Part] = []
        for part in _spoken(message.parts):
            if not isinstance(part, ToolCallResponse):
                others.append(self._named(part))
            elif part.id in self._open:
                content = tuple(self._named(one) for one in _spoken(part.content)) or (Text(_NOTHING),)
                results.append(_hoisted(attrs.evolve(part, id=self._open.pop(part.id), content=content)))
            else:  # a result without its call is refused: it is told as what it is
                others += [Text(f"Tool result for {part.id}:"), *map(self._named, _spoken(part.content))]
        if results:
            self._add_results(_marked(results, {} if others else message.extra))
        if others:
            self._parts_of(Role.USER).extend(_marked(others, message.extra))

    def _add_results(self, results: Sequence[Part]) -> None:
        """The results of the last turn's calls stand first in the turn behind it, in the order of the calls."""
        notes = []
        while self._turns and self._turns[-1][0] is Role.SYSTEM:
            notes.append(self._turns.pop())
        parts = self._parts_of(Role.USER)
        self._turns += reversed(notes)
        head = [one for one in (*parts, *results) if isinstance(one, ToolCallResponse)]
        tail = [one for one in parts if not isinstance(one, ToolCallResponse)]
        parts[:] = [*sorted(head, key=lambda one: self._order[one.id]), *tail]

    def _call_id(self, call: ToolCall) -> str:
        """An id that is legal and that no other call of the conversation has; the same conversation gives the same."""
        legal = _NOT_IN_ID.sub("_", call.id) or "call"
        if legal != call.id or len(legal) > _LONGEST_ID or legal in self._used:
            seed = f"{call.id}\0{len(self._used)}".encode("utf-8", "replace")
            legal = f"{legal[:48]}_{hashlib.sha256(seed).hexdigest()[:8]}"
        self._used.add(legal)
        self._open[call.id] = legal
        self._order[legal] = len(self._order)
        return legal

    def _named(self, part: Part) -> Part:
        """A document under a legal name that no other document of the conversation has; anything else as it is."""
        if not isinstance(part, Blob | Uri) or part.modality != "document":
            return part
        file = part.extra.get("file")
        given = part.extra.get("title") or (file.get("filename") if isinstance(file, Mapping) else None)
        stem = given.rpartition(".")[0] or given if isinstance(given, str) else ""
        name = _SPACES.sub(" ", _NOT_IN_NAME.sub(" ", stem)).strip()[: _LONGEST_NAME - 8] or "document"
        number, unique = 1, name
        while unique in self._names:
            number += 1
            unique = f"{name} {number}"
        self._names.add(unique)
        return attrs.evolve(part, extra={**part.extra, "file": {"filename": unique}})

    def _parts_of(self, role: Role) -> list[Part]:
        """The parts of the last turn if it is of that role, else of a new one."""
        if not self._turns or self._turns[-1][0] is not role:
            self._turns.append((role, []))
        return self._turns[-1][1]


def _spoken(parts: Sequence[Part]) -> list[Part]:
    """Parts that say something: blank texts are refused by this format, and thoughts that nobody has signed."""
    spoken: list[Part] = []
    for part in parts:
        match part:
            case Text(text=text) | Refusal(text=text) if not text.strip():
                continue
            case Reasoning(signature=None | "") if part.extra.get("type") != REDACTED:
                continue
            case _:
                spoken.append(part)
    return spoken


def _hoisted(result: ToolCallResponse) -> ToolCallResponse:
    """A result whose content is marked for the cache is marked itself: inside it no mark can stand."""
    marks = [mark for one in result.content if (mark := getattr(one, "extra", {}).get(CACHE_MARK))]
    return attrs.evolve(result, extra={CACHE_MARK: marks[-1], **result.extra}) if marks else result


def _marked(parts: list[Any], extra: Mapping[str, Any]) -> list[Any]:
    """The parts of a message; a cache mark on the whole message is one on its last part."""
    mark = extra.get(CACHE_MARK)
    if isinstance(mark, dict) and parts and not isinstance(parts[-1], Refusal | Reasoning):
        parts[-1] = attrs.evolve(parts[-1], extra={CACHE_MARK: mark, **parts[-1].extra})
    return parts


def _accompanied(parts: list[Part]) -> list[Part]:
    """A turn with a document has a text as well."""
    documents = any(isinstance(one, Blob | Uri) and one.modality == "document" for one in parts)
    return [*parts, Text(_FILLER)] if documents and not any(isinstance(one, Text) for one in parts) else parts


def _trim(parts: list[Part]) -> None:
    """A turn that the model is to go on with cannot end in white space."""
    last = parts[-1]
    if isinstance(last, Text):
        parts[-1] = attrs.evolve(last, text=last.text.rstrip())
