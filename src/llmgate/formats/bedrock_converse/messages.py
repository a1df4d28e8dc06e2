"""The conversation: a system prompt, and turns of user and assistant.

Source: Amazon Bedrock API reference, "Converse", ``system`` and ``messages``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from llmgate.formats.fields import ShapeError, as_object, as_text, rest
from llmgate.spec import Message, Role

from .parts import decode_blocks, encode_blocks

__all__ = ["decode_message", "decode_system", "encode_conversation"]

_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_SYSTEM: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})


def decode_system(value: Any) -> tuple[Message, ...]:
    """The system prompt as the conversation's first message; none for none.

    Raises:
        ShapeError: it is not an array of blocks.
    """
    return () if value is None else (Message(Role.SYSTEM, decode_blocks(value, "system")),)


def decode_message(value: Any, path: str) -> Message:
    """A turn.

    Raises:
        ShapeError: naming the field that is wrong.
    """
    source = as_object(value, path)
    role = as_text(source.get("role"), f"{path}.role")
    if role not in _ROLES:
        raise ShapeError(f"{path}.role", f"one of {', '.join(_ROLES)}")
    parts = decode_blocks(source.get("content"), f"{path}.content")
    return Message(_ROLES[role], parts, extra=rest(source, frozenset({"role", "content"})))


def encode_conversation(
    messages: Sequence[Message], *, own: bool
) -> tuple[list[dict[str, Any]] | None, list[dict[str, Any]]]:
    """The ``system`` (None for none) and the ``messages``.

    Args:
        messages: The conversation, oldest first, in the order that the format demands.
        own: Whether it came in this format, and its ``extra`` may be written.

    Raises:
        InvalidRequestError: a part has no counterpart in this format.
    """
    leading = 0
    while leading < len(messages) and messages[leading].role in _SYSTEM:
        leading += 1
    system = [part for message in messages[:leading] for part in message.parts]
    return (
        encode_blocks(system, own=own) if leading else None,
        [_encode_turn(message, own=own) for message in messages[leading:]],
    )


def _encode_turn(message: Message, *, own: bool) -> dict[str, Any]:
    role = {Role.TOOL: Role.USER, Role.DEVELOPER: Role.SYSTEM}.get(message.role, message.role)
    value = {"role": role.value, "content": encode_blocks(message.parts, own=own)}
    return {**message.extra, **value} if own else value
