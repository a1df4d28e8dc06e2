"""Calls of one turn that all have the same id, told apart: some servers give none, or number nothing.

Formats that demand an id for every call, and those that find a result's tool by the id, would otherwise join results to
the wrong calls. Results come in the order of the calls where nothing else tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from llmgate.spec import Message, Part, ToolCall, ToolCallResponse

__all__ = ["told_apart"]


def told_apart(messages: Sequence[Message]) -> Sequence[Message]:
    """The conversation with ids for all calls of a turn, no two the same; the very same where that is so already."""
    if not any(map(_lacks_ids, messages)):
        return messages
    waiting: dict[str, list[str]] = {}
    told = []
    for message in messages:
        ids = _ids_of(message)
        if ids:
            waiting = {}
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                given = waiting.setdefault(part.id, [])
                given.append(_new_id(part.id, len(given) + 1, ids))
                part = attrs.evolve(part, id=given[-1])
            elif isinstance(part, ToolCallResponse) and waiting.get(part.id):
                part = attrs.evolve(part, id=waiting[part.id].pop(0))
            parts.append(part)
        told.append(attrs.evolve(message, parts=tuple(parts)))
    return tuple(told)


def _ids_of(message: Message) -> list[str]:
    return [part.id for part in message.parts if isinstance(part, ToolCall)]


def _lacks_ids(message: Message) -> bool:
    ids = _ids_of(message)
    return "" in ids or len(set(ids)) < len(ids)


def _new_id(call_id: str, number: int, taken: Sequence[str]) -> str:
    """The first of its name keeps it."""
    if number == 1 and call_id:
        return call_id
    made = f"{call_id or 'call'}_{number}"
    while made in taken:
        made += "_"
    return made
