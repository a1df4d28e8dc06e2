"""How many tokens a request will take, from its characters: for models whose provider does not say.

It is meant for clients that watch how full a context window is, not for bills: English text comes out within a fifth of
what tokenizers count, other alphabets rather too high.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.spec import Blob, ChatRequest, FileRef, Part, Reasoning, Refusal, Text, ToolCall, ToolCallResponse, Uri

__all__ = ["estimate_input", "estimate_text"]

CHARACTERS_A_TOKEN: Final = 3.6
"""ASCII characters that make a token, on average; of other characters each is one."""

TURN: Final = 4
"""Tokens around a turn, a tool or a call."""

PICTURE: Final = 1600
"""Tokens of a picture of the largest size that is not scaled down."""

DOCUMENT_BYTES_A_TOKEN: Final = 30
SMALLEST_DOCUMENT: Final = 1500


def estimate_input(request: ChatRequest) -> int:
    """The tokens of a request's conversation and tools, at least one."""
    count = 0.0
    for message in request.messages:
        count += TURN + _of_parts(message.parts)
    for tool in request.tools:
        count += TURN + estimate_text(tool.name) + estimate_text(tool.description or "")
        count += _of_value(tool.parameters) + _of_value(tool.extra)
    if request.output_format is not None:
        count += _of_value(request.output_format.schema)
    return max(1, math.ceil(count))


def _of_parts(parts: Iterable[Part]) -> float:
    return sum(map(_of_part, parts))


def _of_part(part: Part) -> float:
    match part:
        case Text() | Reasoning() | Refusal():
            return estimate_text(part.text)
        case ToolCall():
            return TURN + estimate_text(part.name) + estimate_text(part.arguments)
        case ToolCallResponse():
            return TURN + _of_parts(part.content)
        case Blob(modality="image") | Uri(modality="image") | FileRef(modality="image"):
            return PICTURE
        case Blob():
            return max(SMALLEST_DOCUMENT, len(part.data) * 0.75 / DOCUMENT_BYTES_A_TOKEN)
        case Uri() | FileRef():
            return SMALLEST_DOCUMENT
        case _:
            return _of_value(part.value)


def estimate_text(text: str) -> float:
    """The tokens of a text."""
    plain = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return plain / CHARACTERS_A_TOKEN + (len(text) - plain)


def _of_value(value: Any) -> float:
    return len(dumps(value)) / CHARACTERS_A_TOKEN if value else 0.0
