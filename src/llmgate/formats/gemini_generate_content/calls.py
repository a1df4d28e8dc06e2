"""Which result belongs to which call: ids are optional in this format, and older models have none.

A call without an id gets one that the same conversation gives again. Results without ids are paired with the open calls
of their function, in order, as Google's models do.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import attrs

from llmgate.formats.fields import rest
from llmgate.spec import Message, Part, ToolCall, ToolCallResponse

__all__ = ["Ledger", "invented_id", "is_invented"]

_INVENTED: Final = re.compile(r"gcall_[0-9a-f]{16}", re.ASCII)


def invented_id(*seed: Any) -> str:
    """An id made of what is known of a call."""
    text = "\0".join(map(str, seed)).encode("utf-8", "replace")
    return f"gcall_{hashlib.sha256(text).hexdigest()[:16]}"


def is_invented(call_id: str) -> bool:
    """Whether an id was made here and means nothing to the provider."""
    return _INVENTED.fullmatch(call_id) is not None


class Ledger:
    """The calls of a conversation, as its messages are read in order."""

    def __init__(self) -> None:
        self._count = 0
        self._open: list[ToolCall] = []
        self._names: dict[str, str] = {}

    def paired(self, message: Message) -> Message:
        """The message with an id on every call and every result."""
        if not any(isinstance(part, ToolCall | ToolCallResponse) for part in message.parts):
            return message
        return attrs.evolve(message, parts=tuple(map(self._part, message.parts)))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            self._count += 1
            call = part if part.id else attrs.evolve(part, id=invented_id(self._count, part.name, part.arguments))
            self._open.append(call)
            self._names[call.id] = call.name
            return call
        return self._result(part) if isinstance(part, ToolCallResponse) else part

    def _result(self, part: ToolCallResponse) -> ToolCallResponse:
        name = part.extra.get("name")
        call_id = part.id or next((call.id for call in self._open if call.name == name), "")
        self._open = [call for call in self._open if call.id != call_id]
        if not call_id:
            self._count += 1
            call_id = invented_id(self._count, name)
        known = self._names.get(call_id) == name
        return attrs.evolve(part, id=call_id, extra=rest(part.extra, frozenset({"name"})) if known else part.extra)
