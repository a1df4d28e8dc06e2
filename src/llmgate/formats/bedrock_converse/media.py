"""Media in blocks: pictures, documents, films and sound, as bytes or kept in S3.

Source: Amazon Bedrock API reference, ``ImageBlock``, ``DocumentBlock``, ``VideoBlock``, ``AudioBlock``. What HTTP calls
a media type is one short word here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from llmgate.formats.fields import as_object, as_text, optional, rest
from llmgate.formats.inner_losses import document_marks
from llmgate.spec import Blob, InvalidRequestError, Part, Unknown, Uri

__all__ = ["FORMAT", "MODALITIES", "decode_media", "encode_media", "word_of"]

FORMAT: Final = "bedrock-converse"

MODALITIES: Final[Mapping[str, Mapping[str, str]]] = {
    "image": {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"},
    "document": {
        "pdf": "application/pdf",
        "csv": "text/csv",
        "doc": "application/msword",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "html": "text/html",
        "txt": "text/plain",
        "md": "text/markdown",
    },
    "video": {
        "mkv": "video/x-matroska",
        "mov": "video/quicktime",
        "mp4": "video/mp4",
        "webm": "video/webm",
        "flv": "video/x-flv",
        "mpeg": "video/mpeg",
        "mpg": "video/mpg",
        "wmv": "video/x-ms-wmv",
        "three_gp": "video/3gpp",
    },
    "audio": {
        "mp3": "audio/mpeg",
        "opus": "audio/opus",
        "wav": "audio/wav",
        "aac": "audio/aac",
        "flac": "audio/flac",
        "mp4": "audio/mp4",
        "ogg": "audio/ogg",
        "mka": "audio/x-matroska",
        "m4a": "audio/m4a",
        "pcm": "audio/pcm",
        "webm": "audio/webm",
    },
}
"""The kinds of media, and for each the format's own words with the media types that they stand for."""

_WORDS: Final = {
    modality: {media_type: word for word, media_type in words.items()} for modality, words in MODALITIES.items()
}
_ALSO: Final = {
    "image/jpg": "jpeg",
    "audio/mp3": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "application/csv": "csv",
    "text/x-markdown": "md",
}
_BLOCK: Final = frozenset({"format", "source", "name"})
_OURS: Final = frozenset({"cache_control", "file", "title", "source", "format", "bucketOwner", "image_url"})
"""Members of a part's ``extra`` that are no members of the block."""


def word_of(modality: str, media_type: str | None) -> str | None:
    """The format's own word for a media type; None where it has none."""
    words = _WORDS.get(modality, {})
    also = _ALSO.get(media_type or "")
    return words.get(media_type or "") or (also if also in MODALITIES.get(modality, {}) else None)


def decode_media(modality: str, value: Any, path: str) -> Part:
    """A block of media. A document's name is kept where other formats look for a file's.

    Raises:
        ShapeError: it is none.
    """
    block = as_object(value, path)
    source = as_object(block.get("source"), f"{path}.source")
    word = optional(block, "format", as_text, path)
    name = optional(block, "name", as_text, path)
    extra = rest(block, _BLOCK) | ({} if name is None else {"file": {"filename": name}, "title": name})
    media_type = None if word is None else MODALITIES[modality].get(word, f"{modality}/{word}")
    match source:
        case {"bytes": str(data), **more} if not more and media_type is not None:
            return Blob(modality, media_type, data, extra=extra)
        case {"s3Location": {"uri": str(uri), **place}, **more} if not more and not place.keys() - {"bucketOwner"}:
            owner = {"bucketOwner": place["bucketOwner"]} if place else {}
            return Uri(modality, uri, media_type, extra={**extra, **owner})
        case {"text": str(text), **more} if not more and modality == "document":
            kept = {"source": "text"} if word is None else {"source": "text", "format": word}
            return Blob(modality, "text/plain", base64.b64encode(text.encode()).decode(), extra={**extra, **kept})
        case _:
            return Unknown(FORMAT, {modality: block})


def encode_media(part: Blob | Uri, *, own: bool) -> dict[str, Any]:
    """The block.

    Args:
        part: The media.
        own: Whether its ``extra`` belongs to this format and may be written.

    Raises:
        InvalidRequestError: the format takes no such media.
    """
    word = word_of(part.modality, part.media_type)
    if word is None and own and part.media_type is not None:
        word = part.media_type.removeprefix(f"{part.modality}/")
    value: dict[str, Any] = {} if word is None else {"format": word}
    if part.modality == "document":
        value["name"] = _name(part.extra)
    if isinstance(part, Uri):
        owner = {"bucketOwner": part.extra["bucketOwner"]} if own and "bucketOwner" in part.extra else {}
        value["source"] = {"s3Location": {"uri": part.uri, **owner}}
    elif own and part.extra.get("source") == "text":
        value |= {"format": part.extra["format"]} if "format" in part.extra else {}
        if "format" not in part.extra:
            value.pop("format", None)
        value["source"] = {"text": _plain(part.data)}
    else:
        value["source"] = {"bytes": part.data}
    return {part.modality: {**(rest(part.extra, _OURS) if own else document_marks(part)), **value}}


def _name(extra: Mapping[str, Any]) -> str:
    """A document's name, which the format demands."""
    file = extra.get("file")
    for name in (file.get("filename") if isinstance(file, Mapping) else None, extra.get("title")):
        if isinstance(name, str) and name:
            return name
    return "document"


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise InvalidRequestError(
            "a document of plain text is not base64 of UTF-8 text", param="messages", code="unsupported_content"
        ) from None
