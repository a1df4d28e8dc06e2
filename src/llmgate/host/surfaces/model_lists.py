"""Lists of models in the shapes of the vendors' own: the same entries, told apart by who asks.

Sources: OpenAI API reference, "List models"; Anthropic API reference, "List Models"; Gemini API
reference, "models.list". The pages of the latter two are one page here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from llmgate.pipeline import ModelEntry

__all__ = ["model_list", "model_value"]

_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
"""What every model here does for clients of Gemini's API."""

_EPOCH: Final = "1970-01-01T00:00:00Z"
"""What the API says of models whose release date is not known."""


def model_list(entries: Sequence[ModelEntry], wire_format: str) -> dict[str, Any]:
    """The list of models.

    Args:
        entries: What the caller may call.
        wire_format: The wire format that the caller speaks.
    """
    data = [model_value(entry, wire_format) for entry in entries]
    if wire_format == "gemini-generate-content":
        return {"models": data}
    if wire_format != "anthropic-messages":
        return {"object": "list", "data": data}
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def model_value(entry: ModelEntry, wire_format: str) -> dict[str, Any]:
    """One model; its size where its provider has told it, in the words that clients of the format look for."""
    listed = entry.listed
    window, most = (None, None) if listed is None else (listed.context_window, listed.max_output)
    if wire_format == "gemini-generate-content":
        return {
            "name": f"models/{entry.id}",
            "displayName": entry.id.rpartition("/")[2],
            "supportedGenerationMethods": list(_METHODS),
            **_said(inputTokenLimit=window, outputTokenLimit=most),
        }
    if wire_format != "anthropic-messages":
        value = {"id": entry.id, "object": "model", "created": 0, "owned_by": entry.owned_by}
        return value | _said(context_window=window, max_completion_tokens=most)
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.id.rpartition("/")[2],
        "created_at": _EPOCH,
        "lifecycle": "active",
        **_said(max_input_tokens=window, max_tokens=most),
    }


def _said(**sizes: int | None) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if size is not None}
