"""Content blocks: text, pictures, documents, thinking, tools, and what only this format knows.

Source: Anthropic API reference, "Create a Message", ``messages`` and ``content``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.citations import cited_pieces
from llmgate.formats.fields import ShapeError, as_boolean, as_object, as_text, optional, rest
from llmgate.formats.inner_losses import document_marks
from llmgate.formats.part_proofs import signature_of
from llmgate.formats.sealing import is_tagged
from llmgate.spec import (
    Blob,
    FileRef,
    InvalidRequestError,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
    Uri,
)

from .citations import decode_citations, encode_citations

__all__ = ["FORMAT", "REDACTED", "decode_block", "decode_content", "encode_block", "encode_blocks", "tool_input"]

FORMAT: Final = "anthropic-messages"
REDACTED: Final = "redacted_thinking"
INVALID_ARGUMENTS: Final = "INVALID_JSON"
"""The only member of the input of a call whose arguments are no JSON object: its value is what the model wrote."""

_PLAIN_TEXT: Final = "text/plain"
_SOURCE: Final = frozenset({"type", "source"})


def decode_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a ``content``: a string or an array of blocks."""
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise ShapeError(path, "a string or an array of content blocks")
    return tuple(decode_block(block, f"{path}[{index}]") for index, block in enumerate(value))


def decode_block(value: Any, path: str) -> Part:
    """A content block; fields without a canonical place, such as ``cache_control``, are kept in the part's ``extra``.

    Raises:
        ShapeError: it is not a block.
    """
    source = as_object(value, path)
    kind = as_text(source.get("type"), f"{path}.type")
    decode = _DECODERS.get(kind)
    return Unknown(FORMAT, source) if decode is None else decode(source, path)


def encode_blocks(parts: Sequence[Part], *, own: bool = True) -> list[dict[str, Any]]:
    """Parts as an array of blocks; a text that several sources stand behind is as many blocks as it takes."""
    return [
        encode_block(piece, own=own)
        for part in parts
        if not (isinstance(part, Reasoning) and is_tagged(part.signature))
        for piece in (cited_pieces(part) if isinstance(part, Text) else (part,))
    ]


def encode_block(part: Part, *, own: bool = True) -> dict[str, Any]:
    """A part as a content block.

    Args:
        part: The part.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format has nothing that says the same.
    """
    match part:
        case Text():
            value: dict[str, Any] = {"type": "text", "text": part.text}
            if part.citations and not (own and "citations" in part.extra):
                value["citations"] = encode_citations(part.citations)
        case Refusal():
            return {"type": "text", "text": part.text}
        case Reasoning():
            return _encode_reasoning(part, own=own)
        case ToolCall():
            value = {"type": "tool_use", "id": part.id, "name": part.name, "input": tool_input(part.arguments)}
        case ToolCallResponse():
            value = _encode_result(part, own=own)
        case Blob() | Uri() | FileRef() if part.modality in ("image", "document"):
            value = _encode_media(part, own=own)
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value)
        case _:
            raise InvalidRequestError(
                f"messages hold {_kind(part)}, which {FORMAT} has no place for: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )
    return {**part.extra, **value} if own else {**_marked(part.extra), **document_marks(part), **value}


def tool_input(arguments: str) -> dict[str, Any]:
    """The input of a call; arguments that are no JSON object are wrapped, so that a conversation with one goes on."""
    if not arguments.strip():
        return {}
    try:
        value = loads(arguments.encode("utf-8", "replace"))
    except JSONError:
        return {INVALID_ARGUMENTS: arguments}
    return value if isinstance(value, dict) else {INVALID_ARGUMENTS: arguments}


def _marked(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What clients of other formats write into parts for this one: a cache mark, as LiteLLM's clients know it."""
    mark = extra.get("cache_control")
    return {"cache_control": mark} if isinstance(mark, dict) else {}


def _kind(part: Part) -> str:
    if isinstance(part, Unknown):
        return f"a part of {part.format}"
    return part.modality if isinstance(part, Blob | Uri | FileRef) else type(part).__name__


def _encode_reasoning(part: Reasoning, *, own: bool) -> dict[str, Any]:
    if part.extra.get("type") == REDACTED:
        return dict(part.extra)
    value = {"type": "thinking", "thinking": part.text, "signature": signature_of(part) or ""}
    return {**part.extra, **value} if own else value


def _encode_result(part: ToolCallResponse, *, own: bool) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.id}
    content = [one for one in part.content if own or not isinstance(one, Text) or one.text]
    if len(content) == 1 and isinstance(content[0], Text) and not content[0].extra:
        value["content"] = content[0].text
    elif content:
        value["content"] = encode_blocks(content, own=own)
    if part.is_error:
        value["is_error"] = True
    return value


def _encode_media(part: Blob | Uri | FileRef, *, own: bool) -> dict[str, Any]:
    match part:
        case Uri():
            source = {"type": "url", "url": part.uri}
        case FileRef():
            source = {"type": "file", "file_id": part.file_id}
        case Blob(media_type=kind) if kind == _PLAIN_TEXT and part.modality == "document":
            source = {"type": "text", "media_type": kind, "data": _plain(part.data)}
        case Blob():
            source = {"type": "base64", "media_type": part.media_type, "data": part.data}
    value: dict[str, Any] = {"type": part.modality, "source": source}
    title = _object(part.extra, "file").get("filename")
    if not own and part.modality == "document" and isinstance(title, str) and title:
        value["title"] = title
    return value


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidRequestError(
            "a document of type text/plain is not base64 of UTF-8 text", param="messages", code="unsupported_content"
        ) from None


def _decode_text(source: dict[str, Any], path: str) -> Part:
    text = as_text(source.get("text"), f"{path}.text")
    extra = rest(source, frozenset({"type", "text"}))
    found = decode_citations(source.get("citations"))
    if found and encode_citations(found) == source["citations"]:
        del extra["citations"]
    return Text(text, extra, found)


def _decode_thinking(source: dict[str, Any], path: str) -> Part:
    return Reasoning(
        as_text(source.get("thinking"), f"{path}.thinking"),
        optional(source, "signature", as_text, path),
        extra=rest(source, frozenset({"type", "thinking", "signature"})),
    )


def _decode_redacted(source: dict[str, Any], path: str) -> Part:  # noqa: ARG001 - the table's signature
    return Reasoning("", extra=source)


def _decode_call(source: dict[str, Any], path: str) -> Part:
    given = source.get("input")
    return ToolCall(
        id=as_text(source.get("id"), f"{path}.id"),
        name=as_text(source.get("name"), f"{path}.name"),
        arguments=dumps({} if given is None else as_object(given, f"{path}.input")).decode(),
        extra=rest(source, frozenset({"type", "id", "name", "input"})),
    )


def _decode_result(source: dict[str, Any], path: str) -> Part:
    content = source.get("content")
    return ToolCallResponse(
        id=as_text(source.get("tool_use_id"), f"{path}.tool_use_id"),
        content=() if content is None else decode_content(content, f"{path}.content"),
        is_error=optional(source, "is_error", as_boolean, path) or False,
        extra=rest(source, frozenset({"type", "tool_use_id", "content", "is_error"})),
    )


def _decode_media(source: dict[str, Any], path: str) -> Part:
    modality = source["type"]
    inner = as_object(source.get("source"), f"{path}.source")
    extra = rest(source, _SOURCE)
    match inner:
        case {"type": "base64", "media_type": str(kind), "data": str(data), **more} if not more:
            return Blob(modality, kind, data, extra=extra)
        case {"type": "text", "media_type": str(kind), "data": str(data), **more} if kind == _PLAIN_TEXT and not more:
            return Blob(modality, kind, base64.b64encode(data.encode()).decode(), extra=extra)
        case {"type": "url", "url": str(url), **more} if not more:
            return Uri(modality, url, extra=extra)
        case {"type": "file", "file_id": str(file_id), **more} if not more:
            return FileRef(modality, file_id, extra=extra)
        case _:
            as_text(inner.get("type"), f"{path}.source.type")
            return Unknown(FORMAT, source)


_DECODERS: Final[Mapping[str, Callable[[dict[str, Any], str], Part]]] = {
    "text": _decode_text,
    "thinking": _decode_thinking,
    REDACTED: _decode_redacted,
    "tool_use": _decode_call,
    "tool_result": _decode_result,
    "image": _decode_media,
    "document": _decode_media,
}
