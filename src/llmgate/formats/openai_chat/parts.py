"""Content parts of chat messages: text, media, files, refusals, and what only this format knows.

Source: OpenAI API reference, "Create chat completion", message content parts. Beside those, ``video_url`` and
``audio_url`` (vLLM, OpenRouter) and Mistral's ``thinking`` parts are read and written.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from llmgate.formats.cache_marks import breakpoint_of
from llmgate.formats.fields import ShapeError, as_object, as_text, merged, optional, rest
from llmgate.spec import Blob, FileRef, InvalidRequestError, Part, Reasoning, Refusal, Text, Unknown, Uri

from . import blocks

__all__ = ["FORMAT", "decode_part", "encode_part"]

FORMAT: Final = "openai-chat"

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_MODALITIES: Final = {"image_url": "image", "video_url": "video", "audio_url": "audio"}


def decode_part(value: Any, path: str) -> Part:
    """One element of a content array.

    Fields that the canonical part has no place for are kept in its ``extra``: those beside ``type`` by their names,
    those inside the ``image_url``, ``input_audio`` or ``file`` object below that name.

    Raises:
        ShapeError: it is not a part.
    """
    source = as_object(value, path)
    kind = as_text(source.get("type"), f"{path}.type")
    decode = _DECODERS.get(kind)
    return Unknown(FORMAT, source) if decode is None else decode(source, kind, path)


def encode_part(part: Part, *, own: bool = True) -> dict[str, Any]:
    """A part as an element of a content array.

    Args:
        part: The part.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format has nothing that says the same.
    """
    match part:
        case Text():
            value: dict[str, Any] = {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Reasoning():
            return {"type": "thinking", "thinking": [{"type": "text", "text": part.text}]}
        case Uri() | Blob():
            value = _encode_media(part) if own else _encode_foreign(part)
        case FileRef():
            value = {"type": "file", "file": {"file_id": part.file_id}}
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value)
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else type(part).__name__
            raise InvalidRequestError(
                f"messages hold {kind}, which has no counterpart in {FORMAT}: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )
    return merged(value, part.extra) if own else {**value, **breakpoint_of(part)}


def _encode_media(part: Uri | Blob) -> dict[str, Any]:
    if isinstance(part, Blob) and part.modality == "audio":
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": _audio_format(part.media_type)}}
    address = part.uri if isinstance(part, Uri) else f"data:{part.media_type};base64,{part.data}"
    if part.modality in _MODALITIES.values():
        kind = f"{part.modality}_url"
        return {"type": kind, kind: {"url": address}}
    return {"type": "file", "file": {"file_data": address}}


def _encode_foreign(part: Uri | Blob) -> dict[str, Any]:
    """Media of another format: plain text is no file here, and a file must be called something."""
    if isinstance(part, Blob) and part.modality == "document" and part.media_type == "text/plain":
        return {"type": "text", "text": base64.b64decode(part.data).decode("utf-8", "replace")}
    value = _encode_media(part)
    inner = part.extra.get(value["type"])
    if value["type"] == "image_url" and isinstance(inner, dict) and isinstance(inner.get("detail"), str):
        value["image_url"]["detail"] = inner["detail"]
    if value["type"] == "file":
        title = part.extra.get("title") or (inner.get("filename") if isinstance(inner, dict) else None)
        value["file"]["filename"] = title if isinstance(title, str) and title else "document.pdf"
    return value


def _audio_format(media_type: str) -> str:
    return _AUDIO_FORMATS.get(media_type) or media_type.partition("/")[2]


def _decode_text(source: dict[str, Any], kind: str, path: str) -> Part:
    return Text(as_text(source.get(kind), f"{path}.{kind}"), extra=rest(source, frozenset({"type", kind})))


def _decode_refusal(source: dict[str, Any], kind: str, path: str) -> Part:
    return Refusal(as_text(source.get(kind), f"{path}.{kind}"))


def _decode_thinking(source: dict[str, Any], kind: str, path: str) -> Part:
    inside = source.get(kind)
    pieces = inside if isinstance(inside, list) else [{"type": "text", "text": inside}]
    texts = [as_text(as_object(piece, f"{path}.{kind}").get("text"), f"{path}.{kind}.text") for piece in pieces]
    return Reasoning("".join(texts), extra={"field": "content"})


def _decode_url(source: dict[str, Any], kind: str, path: str) -> Part:
    inner = source.get(kind)
    if isinstance(inner, str):  # Mistral takes the bare address
        inner = {"url": inner}
    inner = as_object(inner, f"{path}.{kind}")
    address = as_text(inner.get("url"), f"{path}.{kind}.url")
    return _media(_MODALITIES[kind], address, _extra(source, kind, inner, "url"))


def _decode_audio(source: dict[str, Any], kind: str, path: str) -> Part:
    inner = as_object(source.get(kind), f"{path}.{kind}")
    data = as_text(inner.get("data"), f"{path}.{kind}.data")
    sort = as_text(inner.get("format"), f"{path}.{kind}.format")
    extra = _extra(source, kind, inner, "data", "format")
    return Blob("audio", _AUDIO_TYPES.get(sort, f"audio/{sort}"), data, extra=extra)


def _decode_file(source: dict[str, Any], kind: str, path: str) -> Part:
    inner = as_object(source.get(kind), f"{path}.{kind}")
    file_id = optional(inner, "file_id", as_text, f"{path}.{kind}")
    data = optional(inner, "file_data", as_text, f"{path}.{kind}")
    if (file_id is None) == (data is None):
        raise ShapeError(f"{path}.{kind}", "an object with either file_id or file_data")
    extra = _extra(source, kind, inner, "file_id", "file_data")
    if file_id is not None:
        return FileRef("document", file_id, extra=extra)
    assert data is not None
    if not data.startswith(("data:", "http://", "https://")):
        return Unknown(FORMAT, source)  # bare base64 does not say of which media type it is
    return _media("document", data, extra)


def _media(modality: str, address: str, extra: dict[str, Any]) -> Blob | Uri:
    inline = _DATA_URL.fullmatch(address)
    if inline is None:
        return Uri(modality, address, extra=extra)
    return Blob(modality, inline[1], inline[2], extra=extra)


def _extra(source: dict[str, Any], kind: str, inner: Mapping[str, Any], *known: str) -> dict[str, Any]:
    outside = rest(source, frozenset({"type", kind}))
    inside = rest(inner, frozenset(known))
    return {**outside, kind: inside} if inside else outside


_DECODERS: Final[Mapping[str, Callable[[dict[str, Any], str, str], Part]]] = {
    "text": _decode_text,
    "refusal": _decode_refusal,
    "thinking": _decode_thinking,
    "image_url": _decode_url,
    "video_url": _decode_url,
    "audio_url": _decode_url,
    "input_audio": _decode_audio,
    "file": _decode_file,
    "tool_use": blocks.decode_call,
    "tool_result": blocks.decode_result,
    "image": blocks.decode_image,
    "input_text": blocks.decode_said,
    "output_text": blocks.decode_said,
}
