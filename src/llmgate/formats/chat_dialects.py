"""What a vendor who speaks ``openai-chat`` calls otherwise than OpenAI, or does not take, as the vendor's row tells.

It matters where a request is translated: what a client of the format itself sends is relayed as it came.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, top
from llmgate.spec import ChatRequest, Message, Part, ProviderRow, ToolCall, ToolCallResponse, Unsupported

__all__ = ["renamed", "spoken"]

_CANONICAL: Final[Mapping[str, str]] = {
    "max_completion_tokens": "max_output_tokens",
    "n": "choice_count",
    "response_format": "output_format",
    "stop": "stop_sequences",
}
"""Fields that have another name here than in the canonical request."""

_PROMISES: Final = frozenset({"choice_count", "output_format", "tool_choice"})
"""Without these the answer would be another one than was asked for."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def spoken(request: ChatRequest, row: ProviderRow) -> tuple[ChatRequest, Sequence[Unsupported]]:
    """A request that is to be translated, as a vendor takes it.

    Args:
        request: The request.
        row: What is known of the vendor.

    Returns:
        The request without the fields that the vendor does not take, and with ids of calls as he wants them; and what
        was left out.
    """
    changes: dict[str, Any] = {}
    lost: list[Unsupported] = []
    for wire in (wire for wire, name in row.chat_fields.items() if not name):
        name = _CANONICAL.get(wire, wire)
        if name not in _FIELDS:
            if request.extra.get(wire) is not None:
                lost.append(Unsupported(wire, "report"))
                changes["extra"] = {one: v for one, v in changes.get("extra", request.extra).items() if one != wire}
        elif getattr(request, name) not in (None, (), {}):
            reason = f"{wire} has no counterpart at the provider: leave it out or choose another model"
            lost.append(Unsupported(name, "refuse", reason) if name in _PROMISES else Unsupported(name, "report"))
            changes[name] = _FIELDS[name]
    if row.call_id_length:
        changes["messages"] = tuple(_with_ids(message, row.call_id_length) for message in request.messages)
    return (attrs.evolve(request, **changes) if changes else request), lost


def renamed(body: bytes, row: ProviderRow) -> bytes:
    """The body of a translated request with its fields called as a vendor calls them.

    Args:
        body: A body in OpenAI's own words.
        row: What is known of the vendor.
    """
    read = top(body)
    changes: dict[str, Any] = {}
    for wire, name in row.chat_fields.items():
        value = read.get(wire)
        if name and value is not None:
            changes |= {wire: REMOVE, name: value}
    return read.patched(changes) if changes else body


def _with_ids(message: Message, length: int) -> Message:
    parts = tuple(_with_id(part, length) for part in message.parts)
    return attrs.evolve(message, parts=parts) if any(map(_differ, parts, message.parts)) else message


def _differ(one: Part, other: Part) -> bool:
    return one is not other


def _with_id(part: Part, length: int) -> Part:
    if not isinstance(part, ToolCall | ToolCallResponse):
        return part
    legal = re.fullmatch(rf"[a-zA-Z0-9]{{{length}}}", part.id, re.ASCII)
    return part if legal else attrs.evolve(part, id=_made_of(part.id, length))


def _made_of(call_id: str, length: int) -> str:
    """An id of so many letters and digits, the same for the same id: a call and its result stay together."""
    number = int.from_bytes(hashlib.sha256(call_id.encode("utf-8", "replace")).digest(), "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(digits)


_FIELDS: Final[Mapping[str, Any]] = {
    field.name: {"metadata": {}, "stop_sequences": (), "tools": ()}.get(field.name)
    for field in attrs.fields(ChatRequest)
    if field.name not in ("model", "messages", "extra", "extra_format", "stream", "include_usage")
}
"""Canonical fields, and the value of each that says nothing."""
