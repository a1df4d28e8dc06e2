"""Content parts: text, pictures, thoughts and documents.

Source: Cohere API reference, "Chat (v2)", ``messages``. A document of a tool's result is its data as text to every
other format; what only this one knows of it stays with the part.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.fields import ShapeError, as_object, as_text, rest
from llmgate.formats.openai_chat.parts import decode_part as decode_openai, encode_part as encode_openai
from llmgate.spec import Blob, InvalidRequestError, Part, Reasoning, Refusal, Text, Unknown, Uri

__all__ = ["FORMAT", "TOOL_PLAN", "decode_content", "encode_content", "encode_part"]

FORMAT: Final = "cohere-chat"
TOOL_PLAN: Final = "tool_plan"
"""Where an assistant says what it is about to do with its tools; such a text says so in ``extra["field"]``."""

_TEXT_KNOWN: Final = frozenset({"type", "text"})
_THOUGHT_KNOWN: Final = frozenset({"type", "thinking"})


def decode_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a ``content``: null, a string or an array."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise ShapeError(path, "a string or an array of content blocks")
    return tuple(_decode_part(part, f"{path}[{index}]") for index, part in enumerate(value))


def encode_content(parts: Sequence[Part], *, own: bool = True) -> Any:
    """A ``content``: a string where it is one plain text, else an array."""
    if len(parts) == 1 and isinstance(parts[0], Text) and not (own and parts[0].extra):
        return parts[0].text
    return [encode_part(part, own=own) for part in parts]


def encode_part(part: Part, *, own: bool = True) -> dict[str, Any]:
    """A part as an element of a content array.

    Args:
        part: The part.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format has nothing that says the same.
    """
    match part:
        case Text() if own and isinstance(part.extra.get("document"), dict):
            return {"type": "document", **part.extra}
        case Text():
            value: dict[str, Any] = {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "text", "text": part.text}
        case Reasoning():
            value = {"type": "thinking", "thinking": part.text}
        case Blob(modality="document", media_type="text/plain"):
            return {"type": "text", "text": _plain(part.data)}
        case Blob(modality="image") | Uri(modality="image"):
            return encode_openai(part, own=own)
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value)
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else getattr(part, "modality", "a part")
            raise InvalidRequestError(
                f"messages hold {kind}, which {FORMAT} has no place for: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )
    return {**part.extra, **value} if own else value


def _decode_part(value: Any, path: str) -> Part:
    source = as_object(value, path)
    match as_text(source.get("type"), f"{path}.type"):
        case "text":
            return Text(as_text(source.get("text"), f"{path}.text"), extra=rest(source, _TEXT_KNOWN))
        case "thinking":
            return Reasoning(as_text(source.get("thinking"), f"{path}.thinking"), extra=rest(source, _THOUGHT_KNOWN))
        case "document":
            document = as_object(source.get("document"), f"{path}.document")
            return Text(_document_text(document), extra=rest(source, frozenset({"type"})))
        case "image_url":
            return decode_openai(source, path)
        case _:
            return Unknown(FORMAT, source)


def _document_text(document: Mapping[str, Any]) -> str:
    """What a document says, for a model that knows texts only."""
    data = document.get("data")
    return data if isinstance(data, str) else dumps(data).decode()


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            "a document of type text/plain is not base64 of UTF-8 text", param="messages", code="unsupported_content"
        ) from None
