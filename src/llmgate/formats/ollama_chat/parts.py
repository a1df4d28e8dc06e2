"""Media of messages: base64 without a word about what it is, so that its first bytes must tell.

Source: Ollama, docs/api.md and api/types.go, ``Message.Images``; audio travels in the same list.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, loads
from llmgate.spec import Blob

__all__ = ["FORMAT", "decode_media", "tool_input"]

FORMAT: Final = "ollama-chat"
INVALID_ARGUMENTS: Final = "INVALID_JSON"
"""The only member of the arguments of a call that are no JSON object: its value is what the model wrote."""

_SIGNATURES: Final[Mapping[bytes, tuple[str, str]]] = {
    b"\x89PNG": ("image", "image/png"),
    b"\xff\xd8\xff": ("image", "image/jpeg"),
    b"GIF8": ("image", "image/gif"),
    b"BM": ("image", "image/bmp"),
    b"ID3": ("audio", "audio/mpeg"),
    b"\xff\xfb": ("audio", "audio/mpeg"),
}
_CONTAINERS: Final = {b"WEBP": ("image", "image/webp"), b"WAVE": ("audio", "audio/wav")}
"""What a RIFF file holds, by its second four bytes."""

_UNKNOWN: Final = ("image", "image/jpeg")


def decode_media(data: str) -> Blob:
    """A picture, or a sound, of one element of ``images``; what nothing tells is taken for a picture."""
    modality, media_type = _kind(data)
    return Blob(modality, media_type, data)


def tool_input(arguments: str) -> dict[str, Any]:
    """The arguments of a call; those that are no JSON object are wrapped, so that a conversation with them goes on."""
    if not arguments.strip():
        return {}
    try:
        value = loads(arguments.encode("utf-8", "replace"))
    except JSONError:
        return {INVALID_ARGUMENTS: arguments}
    return value if isinstance(value, dict) else {INVALID_ARGUMENTS: arguments}


def _kind(data: str) -> tuple[str, str]:
    try:
        head = base64.b64decode(data[:16])
    except (binascii.Error, ValueError):
        return _UNKNOWN
    if head.startswith(b"RIFF"):
        return _CONTAINERS.get(head[8:12], _UNKNOWN)
    return next((kind for start, kind in _SIGNATURES.items() if head.startswith(start)), _UNKNOWN)
