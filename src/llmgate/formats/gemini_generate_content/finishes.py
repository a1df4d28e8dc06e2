"""Why an answer ended, in Google's words and in ours.

Source: Gemini API reference, "FinishReason" and "BlockReason".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.spec import FinishReason

__all__ = ["ENDS", "block_reason", "decode_finish", "encode_finish", "native_extra"]

_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "JAILBREAK",
        ),
        FinishReason.CONTENT_FILTER,
    ),
}  # fmt: skip
"""Every other word (``MALFORMED_FUNCTION_CALL``, ``OTHER``) is an end of its own kind, for which others have none."""

ENDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "STOP",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
}
"""The ends that the format tells apart; that an answer calls functions is to be seen in itself."""

_UNSPECIFIED: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})


def decode_finish(value: Any, *, calls: bool) -> FinishReason | None:
    """Why an answer ended; one that calls functions and ended normally has ended for them."""
    if not isinstance(value, str) or value in _UNSPECIFIED:
        return None
    reason = _REASONS.get(value, FinishReason.STOP)
    return FinishReason.TOOL_CALLS if calls and value == "STOP" else reason


def encode_finish(reason: FinishReason | None, *, refused: bool = False) -> str:
    """The ``finishReason``."""
    if refused and reason in (None, FinishReason.STOP):
        return "SAFETY"
    if reason is FinishReason.ERROR:
        return "OTHER"
    return "STOP" if reason is None else ENDS.get(reason, "STOP")


def native_extra(value: Any) -> dict[str, Any]:
    """The provider's own word for an end, where the canonical one says less."""
    if not isinstance(value, str) or value in _UNSPECIFIED or value in ("STOP", "MAX_TOKENS", "SAFETY"):
        return {}
    return {"native_finish_reason": value}


def block_reason(value: Mapping[str, Any]) -> str | None:
    """Why a prompt was not answered at all; None where it was."""
    feedback = value.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, Mapping) else None
    return reason if isinstance(reason, str) and reason not in _UNSPECIFIED else None
