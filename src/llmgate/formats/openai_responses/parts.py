"""Content of messages and of tools' outputs: text, refusals, pictures, files, sound, and what only this format knows.

Source: OpenAI API reference, "Create a model response", ``input``; "The response object", ``output``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from llmgate.formats.cache_marks import breakpoint_of
from llmgate.formats.fields import ShapeError, as_object, as_text, merged, optional, rest
from llmgate.spec import Blob, FileRef, InvalidRequestError, Part, Refusal, Role, Text, Unknown, Uri

from .citations import decode_annotations, encode_annotations

__all__ = ["FORMAT", "decode_content", "decode_part", "encode_content", "encode_part"]

FORMAT: Final = "openai-responses"

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_AUDIO_TYPES: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/x-wav": "wav", "audio/wave": "wav"}
_WRITTEN_ANYWAY: Final = ("annotations",)
"""Members of output text that are written empty where there is nothing to say."""


def decode_content(value: Any, path: str) -> tuple[Part, ...]:
    """The parts of a ``content`` or an ``output``: null, a string or an array.

    Raises:
        ShapeError: it is something else.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise ShapeError(path, "a string or an array of parts")
    return tuple(decode_part(part, f"{path}[{index}]") for index, part in enumerate(value))


def decode_part(value: Any, path: str) -> Part:
    """One element of a content array.

    Members without a canonical place are kept in ``extra``: ``detail`` of a picture below ``image_url`` and a file's
    name below ``file``, as in ``openai-chat``; the others by their names.

    Raises:
        ShapeError: it is not a part.
    """
    source = as_object(value, path)
    kind = as_text(source.get("type"), f"{path}.type")
    decode = _DECODERS.get(kind)
    return _unknown(source) if decode is None else decode(source, path)


def encode_content(parts: Iterable[Part], role: Role, *, own: bool = True) -> Any:
    """The ``content`` of a message: a string where that says it all, else an array."""
    parts = tuple(parts)
    head = parts[0] if len(parts) == 1 else None
    if isinstance(head, Text) and not (own and head.extra) and not head.citations and not breakpoint_of(head):
        return head.text
    return [encode_part(part, role, own=own) for part in parts]


def encode_part(part: Part, role: Role, *, own: bool = True) -> dict[str, Any]:
    """A part as an element of a content array.

    Args:
        part: The part.
        role: Who says it: text of the assistant's is output, any other is input.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format has nothing that says the same.
    """
    match part:
        case Text() if role is Role.ASSISTANT:
            annotations = encode_annotations(part.citations, len(part.text))
            value: dict[str, Any] = {"type": "output_text", "text": part.text, "annotations": annotations}
            return {**value, **(rest(part.extra, frozenset({"item"})) if own else {})}
        case Text():
            value = {"type": "input_text", "text": part.text}
            return merged(value, part.extra) if own else {**value, **breakpoint_of(part)}
        case Refusal():
            kind = "refusal" if role is Role.ASSISTANT else "input_text"
            return {"type": kind, "refusal" if role is Role.ASSISTANT else "text": part.text}
        case Blob() | Uri() | FileRef() if part.modality in ("image", "document"):
            value = _encode_media(part, own=own)
            return value if own else {**value, **breakpoint_of(part)}
        case Blob() if part.modality == "audio":
            audio = {"data": part.data, "format": _audio_format(part.media_type)}
            value = {"type": "input_audio", "input_audio": audio}
            return merged(value, part.extra) if own else value
        case Unknown(format=name) if name == FORMAT:
            return dict(part.value["part"])
        case _:
            kind = f"a part of {part.format}" if isinstance(part, Unknown) else type(part).__name__
            raise InvalidRequestError(
                f"messages hold {kind}, which has no counterpart in {FORMAT}: leave it out or choose another model",
                param="messages",
                code="unsupported_content",
            )


def _encode_media(part: Blob | Uri | FileRef, *, own: bool) -> dict[str, Any]:
    inline = f"data:{part.media_type};base64,{part.data}" if isinstance(part, Blob) else None
    if part.modality == "image":
        detail = _object(part.extra, "image_url").get("detail")
        where = (
            {"file_id": part.file_id}
            if isinstance(part, FileRef)
            else {"image_url": inline or (part.uri if isinstance(part, Uri) else "")}
        )
        value = {"type": "input_image", "detail": detail if isinstance(detail, str) else "auto", **where}
        return merged(value, rest(part.extra, frozenset({"image_url"}))) if own else value
    if isinstance(part, Blob) and part.media_type == "text/plain" and not own:
        return {"type": "input_text", "text": base64.b64decode(part.data).decode("utf-8", "replace")}
    value = {"type": "input_file"}
    match part:
        case FileRef():
            value["file_id"] = part.file_id
        case Uri():
            value["file_url"] = part.uri
        case Blob():
            value |= {"filename": "document.pdf"} if not own else {}
            value["file_data"] = inline or ""
    name = _object(part.extra, "file").get("filename") or (None if own else part.extra.get("title"))
    value |= {"filename": name} if isinstance(name, str) and name else {}
    return merged(value, rest(part.extra, frozenset({"file"}))) if own else value


def _audio_format(media_type: str) -> str:
    return _AUDIO_FORMATS.get(media_type) or media_type.partition("/")[2]


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _unknown(source: dict[str, Any]) -> Unknown:
    return Unknown(FORMAT, {"part": source})


def _decode_text(source: dict[str, Any], path: str) -> Part:
    extra = rest(source, frozenset({"type", "text"}))
    if extra:
        extra = {name: value for name, value in extra.items() if value or name not in _WRITTEN_ANYWAY}
    text = as_text(source.get("text"), f"{path}.text")
    annotations = extra.get("annotations")
    if not annotations:
        return Text(text, extra=extra)
    found = decode_annotations(annotations, text)
    if source["type"] == "output_text" and encode_annotations(found, len(text)) == annotations:
        del extra["annotations"]
    return Text(text, extra, found)


def _decode_refusal(source: dict[str, Any], path: str) -> Part:
    return Refusal(as_text(source.get("refusal"), f"{path}.refusal"))


def _decode_image(source: dict[str, Any], path: str) -> Part:
    extra = rest(source, frozenset({"type", "image_url", "file_id", "detail"}))
    detail = optional(source, "detail", as_text, path)
    if detail not in (None, "auto"):
        extra["image_url"] = {"detail": detail}
    file_id = optional(source, "file_id", as_text, path)
    if file_id is not None:
        return FileRef("image", file_id, extra=extra)
    return _media("image", as_text(source.get("image_url"), f"{path}.image_url"), extra)


def _decode_file(source: dict[str, Any], path: str) -> Part:
    extra = rest(source, frozenset({"type", "file_id", "file_url", "file_data", "filename"}))
    name = optional(source, "filename", as_text, path)
    if name is not None:
        extra["file"] = {"filename": name}
    file_id, url = optional(source, "file_id", as_text, path), optional(source, "file_url", as_text, path)
    if file_id is not None:
        return FileRef("document", file_id, extra=extra)
    if url is not None:
        return Uri("document", url, extra=extra)
    data = as_text(source.get("file_data"), f"{path}.file_data")
    if not data.startswith("data:"):
        return _unknown(source)  # bare base64 does not say of which media type it is
    return _media("document", data, extra)


def _decode_audio(source: dict[str, Any], path: str) -> Part:
    inner = as_object(source.get("input_audio"), f"{path}.input_audio")
    data = as_text(inner.get("data"), f"{path}.input_audio.data")
    sort = as_text(inner.get("format"), f"{path}.input_audio.format")
    extra = rest(source, frozenset({"type", "input_audio"}))
    inside = rest(inner, frozenset({"data", "format"}))
    return Blob(
        "audio",
        _AUDIO_TYPES.get(sort, f"audio/{sort}"),
        data,
        extra={**extra, "input_audio": inside} if inside else extra,
    )


def _media(modality: str, address: str, extra: dict[str, Any]) -> Blob | Uri:
    inline = _DATA_URL.fullmatch(address)
    if inline is None:
        return Uri(modality, address, extra=extra)
    return Blob(modality, inline[1], inline[2], extra=extra)


_DECODERS: Final[Mapping[str, Callable[[dict[str, Any], str], Part]]] = {
    "input_text": _decode_text,
    "output_text": _decode_text,
    "text": _decode_text,
    "refusal": _decode_refusal,
    "input_image": _decode_image,
    "input_file": _decode_file,
    "input_audio": _decode_audio,
}
