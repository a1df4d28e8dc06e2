"""Content blocks: text, media, reasoning, tools, marks for the cache, and what only this format knows.

Source: Amazon Bedrock API reference, ``ContentBlock``, ``ToolResultContentBlock``, ``SystemContentBlock``. A block is
an object with one member, whose name is its kind. A point up to which a prompt is cached is a block of its own here and
a mark on the part before it (``cache_control``) everywhere else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps, loads
from llmgate.formats.anthropic_messages.parts import REDACTED, tool_input
from llmgate.formats.citations import cited_pieces
from llmgate.formats.fields import ShapeError, as_list, as_object, as_text, optional, rest
from llmgate.formats.inner_losses import CACHE_MARK
from llmgate.formats.part_proofs import signature_of
from llmgate.formats.sealing import sealed
from llmgate.spec import (
    Blob,
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
from .media import FORMAT, decode_media, encode_media

__all__ = ["FORMAT", "MARKABLE", "cache_mark", "cache_point", "decode_blocks", "encode_blocks", "redacted"]

MARKABLE: Final = (Text, ToolCall, ToolCallResponse, Blob, Uri)
"""What a mark of the cache may stand behind."""

_JSON: Final = "json"


def decode_blocks(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a ``content``.

    Raises:
        ShapeError: it is not an array of blocks.
    """
    parts: list[Part] = []
    for index, one in enumerate(as_list(value, path)):
        block = as_object(one, f"{path}[{index}]")
        mark = cache_mark(block)
        last = parts[-1] if parts else None
        if mark is not None and isinstance(last, MARKABLE) and CACHE_MARK not in last.extra:
            parts[-1] = attrs.evolve(last, extra={**last.extra, CACHE_MARK: mark})
        else:
            parts.append(_decode_block(block, f"{path}[{index}]"))
    return tuple(parts)


def encode_blocks(parts: Sequence[Part], *, own: bool = True) -> list[dict[str, Any]]:
    """Parts as an array of blocks.

    Args:
        parts: The parts.
        own: Whether their ``extra`` belongs to this format and may be written; marks for the cache always are.

    Raises:
        InvalidRequestError: the format has nothing that says the same as one of them.
    """
    blocks: list[dict[str, Any]] = []
    for part in parts:
        pieces = cited_pieces(part) if isinstance(part, Text) else (part,)
        blocks += [_encode_block(piece, own=own) for piece in pieces]
        point = cache_point(part.extra) if isinstance(part, MARKABLE) else None
        if point is not None:
            blocks.append(point)
    return blocks


def cache_mark(block: Mapping[str, Any]) -> dict[str, Any] | None:
    """The mark that a block ``cachePoint`` stands for; None for any other block."""
    match block:
        case {"cachePoint": {"type": "default", **more}, **others} if not others and not more.keys() - {"ttl"}:
            return {"type": "ephemeral", "ttl": more["ttl"]} if more else {"type": "ephemeral"}
        case _:
            return None


def cache_point(extra: Mapping[str, Any]) -> dict[str, Any] | None:
    """The block that a mark stands for; None where there is no mark."""
    mark = extra.get(CACHE_MARK)
    if not isinstance(mark, Mapping):
        return None
    ttl = mark.get("ttl")
    return {"cachePoint": {"type": "default", "ttl": ttl} if isinstance(ttl, str) else {"type": "default"}}


def redacted(data: str) -> Reasoning:
    """Reasoning that its vendor has encrypted: it comes back as it came, and tells nobody anything."""
    return Reasoning("", extra={"type": REDACTED, "data": data})


def _decode_block(block: dict[str, Any], path: str) -> Part:
    if not block:
        raise ShapeError(path, "a content block: an object with one member, such as text")
    kind = next(iter(block))
    decode = _DECODERS.get(kind)
    if decode is None or len(block) > 1:
        return Unknown(FORMAT, block)
    return decode(block[kind], f"{path}.{kind}")


def _decode_text(value: Any, path: str) -> Part:
    return Text(as_text(value, path))


def _decode_json(value: Any, path: str) -> Part:  # noqa: ARG001 - the table's signature
    return Text(dumps(value).decode(), extra={"type": _JSON})


def _decode_reasoning(value: Any, path: str) -> Part:
    match as_object(value, path):
        case {"reasoningText": {"text": str(text), "signature": str(signature), **more}, **others} if not (
            more or others
        ):
            return Reasoning(text, signature)
        case {"reasoningText": {"text": str(text), **more}, **others} if not (more or others):
            return Reasoning(text)
        case {"redactedContent": str(data), **others} if not others:
            return redacted(data)
        case source:
            return Unknown(FORMAT, {"reasoningContent": source})


def _decode_call(value: Any, path: str) -> Part:
    source = as_object(value, path)
    if "type" in source:  # a call that the service itself answers
        return Unknown(FORMAT, {"toolUse": source})
    given = source.get("input")
    return ToolCall(
        id=as_text(source.get("toolUseId"), f"{path}.toolUseId"),
        name=as_text(source.get("name"), f"{path}.name"),
        arguments=dumps({} if given is None else given).decode(),
        extra=rest(source, frozenset({"toolUseId", "name", "input"})),
    )


def _decode_result(value: Any, path: str) -> Part:
    source = as_object(value, path)
    if "type" in source:
        return Unknown(FORMAT, {"toolResult": source})
    status = optional(source, "status", as_text, path)
    extra = rest(source, frozenset({"toolUseId", "content", "status"}))
    return ToolCallResponse(
        id=as_text(source.get("toolUseId"), f"{path}.toolUseId"),
        content=decode_blocks(source.get("content"), f"{path}.content"),
        is_error=status == "error",
        extra=extra if status in (None, "error") else {**extra, "status": status},
    )


def _decode_citations(value: Any, path: str) -> Part:
    source = as_object(value, path)
    content = optional(source, "content", as_list, path) or ()
    texts = [as_object(one, f"{path}.content").get("text") for one in content]
    found = Text("".join(text for text in texts if isinstance(text, str)))
    found = attrs.evolve(found, citations=decode_citations(source.get("citations")))
    same = _encode_text(found, own=False).get("citationsContent") == source
    return found if same else attrs.evolve(found, extra={"citationsContent": source})


def _media_decoder(modality: str) -> Callable[[Any, str], Part]:
    return lambda value, path: decode_media(modality, value, path)


def _encode_block(part: Part, *, own: bool) -> dict[str, Any]:
    match part:
        case Text():
            return _encode_text(part, own=own)
        case Refusal():
            return {"text": part.text}
        case Reasoning():
            return {"reasoningContent": _encode_reasoning(part)}
        case ToolCall():
            value: dict[str, Any] = {"toolUseId": part.id, "name": part.name, "input": tool_input(part.arguments)}
            return {"toolUse": {**(rest(part.extra, frozenset({CACHE_MARK})) if own else {}), **value}}
        case ToolCallResponse():
            return {"toolResult": _encode_result(part, own=own)}
        case Blob() | Uri():
            return encode_media(part, own=own)
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value)
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else type(part).__name__
            raise InvalidRequestError(
                f"messages hold {kind}, which {FORMAT} has no place for: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )


def _encode_text(part: Text, *, own: bool) -> dict[str, Any]:
    if own and part.extra.get("type") == _JSON:
        return {"json": loads(part.text.encode())}
    cited = part.extra.get("citationsContent")
    if own and isinstance(cited, dict):
        return {"citationsContent": cited}
    if part.citations:
        return {"citationsContent": {"content": [{"text": part.text}], "citations": encode_citations(part.citations)}}
    return {"text": part.text}


def _encode_reasoning(part: Reasoning) -> dict[str, Any]:
    if part.extra.get("type") == REDACTED:
        return {"redactedContent": _as_base64(part)}
    signature = part.signature if part.signature is not None else signature_of(part)
    return {"reasoningText": {"text": part.text} | ({} if signature is None else {"signature": signature})}


def _as_base64(part: Reasoning) -> str:
    """What another vendor has encrypted, as the base64 that this format demands; anything else goes sealed."""
    data = str(part.extra.get("data", ""))
    try:
        if base64.b64encode(base64.b64decode(data, validate=True)).decode("ascii") == data:
            return data
    except (binascii.Error, ValueError):
        pass
    return base64.b64encode((sealed(part) or "").encode("ascii")).decode("ascii")


def _encode_result(part: ToolCallResponse, *, own: bool) -> dict[str, Any]:
    content = [block for block in encode_blocks(part.content, own=own) if own or "cachePoint" not in block]
    value: dict[str, Any] = {"toolUseId": part.id, "content": content}
    if part.is_error:
        value["status"] = "error"
    return {**(rest(part.extra, frozenset({CACHE_MARK})) if own else {}), **value}


_DECODERS: Final[Mapping[str, Callable[[Any, str], Part]]] = {
    "text": _decode_text,
    "json": _decode_json,
    "reasoningContent": _decode_reasoning,
    "toolUse": _decode_call,
    "toolResult": _decode_result,
    "citationsContent": _decode_citations,
    **{modality: _media_decoder(modality) for modality in ("image", "document", "video", "audio")},
}
