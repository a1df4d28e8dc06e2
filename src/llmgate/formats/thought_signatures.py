"""Signatures of thought that belong to one part of an answer, kept by clients whose format has no place for them.

Gemini signs parts: a function call, a text. Its models want the very same bytes back with the very same part, and the
newest refuse a conversation in which they are missing. In the canonical types the signature stands in the part's
``extra``, where Google's OpenAI-compatible endpoint has it: ``extra_content.google.thought_signature``. Clients of
Anthropic's format send back ids and nothing else of a call, so that there it travels inside the id.

Source: Gemini API documentation, "Thought signatures" and "OpenAI compatibility".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["EXTRA", "MARK", "marked_id", "signature_in", "signed", "unmarked_id"]

EXTRA: Final = "extra_content"
"""The member of ``extra`` that carries a signature, and the field of OpenAI's compatible dialect."""

MARK: Final = "__thought__"
"""What stands between an id and the signature in it."""


def signature_in(extra: Mapping[str, Any]) -> str | None:
    """The signature in the ``extra`` of a part or a message; None for none."""
    match extra.get(EXTRA):
        case {"google": {"thought_signature": str(signature)}} if signature:
            return signature
        case _:
            return None


def signed(signature: str | None) -> dict[str, Any]:
    """The ``extra`` that carries a signature; empty for none."""
    return {EXTRA: {"google": {"thought_signature": signature}}} if signature else {}


def marked_id(call_id: str, extra: Mapping[str, Any]) -> str:
    """The id of a call with its signature in it, of ``[a-zA-Z0-9_-]`` as far as the id itself is."""
    signature = signature_in(extra)
    if signature is None:
        return call_id
    return f"{call_id}{MARK}{base64.urlsafe_b64encode(signature.encode()).decode('ascii').rstrip('=')}"


def unmarked_id(call_id: str) -> tuple[str, str | None]:
    """The id as it was, and the signature that was put into it; None for none."""
    plain, mark, text = call_id.partition(MARK)
    if not mark:
        return call_id, None
    try:
        signature = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return call_id, None
    return (plain, signature) if signature else (call_id, None)
