"""Lists of models in the shapes of the vendors' own: the same entries, told apart by who asks.

Sources: OpenAI API reference, "List models"; Anthropic API reference, "List Models"; Gemini API
reference, "models.list". Anthropic's has pages, as there; the pages of Gemini's are one page here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from llmgate.spec import InvalidRequestError

if TYPE_CHECKING:
    from llmgate.pipeline import ModelEntry

__all__ = ["model_list", "model_value"]

_PAGE: Final = 20
_LARGEST_PAGE: Final = 1000
_LIFECYCLE: Final = ("active", "deprecated", "retired")

_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
"""What every model here does for clients of Gemini's API."""

_EPOCH: Final = "1970-01-01T00:00:00Z"
"""What the API says of models whose release date is not known."""


def model_list(entries: Sequence[ModelEntry], wire_format: str, query: str = "") -> dict[str, Any]:
    """The list of models.

    Args:
        entries: What the caller may call.
        wire_format: The wire format that the caller speaks.
        query: The query of the request's address, which names the page where the format has pages.

    Raises:
        InvalidRequestError: there is no such page.
    """
    if wire_format == "anthropic-messages":
        entries, more = _page(entries, parse_qs(query, keep_blank_values=True))
        first, last = (entries[0].id, entries[-1].id) if entries else (None, None)
        data = [model_value(entry, wire_format) for entry in entries]
        return {"data": data, "has_more": more, "first_id": first, "last_id": last}
    data = [model_value(entry, wire_format) for entry in entries]
    return {"models": data} if wire_format == "gemini-generate-content" else {"object": "list", "data": data}


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
        if entry.mapping == "pending":
            value["mapping"] = "pending"
        return value | _said(context_window=window, max_completion_tokens=most)
    return {
        "type": "model",
        "id": entry.id,
        "display_name": entry.id.rpartition("/")[2],
        "created_at": _EPOCH,
        "lifecycle": "active",
        **_said(max_input_tokens=window, max_tokens=most),
    }


def _page(entries: Sequence[ModelEntry], asked: Mapping[str, Sequence[str]]) -> tuple[Sequence[ModelEntry], bool]:
    """The page of a list that a query asks for, and whether there are more in the direction that it looks in."""
    wanted = (*asked.get("lifecycle", ()), *asked.get("lifecycle[]", ()))
    for word in wanted:
        if word not in _LIFECYCLE:
            raise InvalidRequestError(f"lifecycle must be one of {', '.join(_LIFECYCLE)}", param="lifecycle")
    if wanted and "active" not in wanted:
        entries = ()
    size = _size(asked.get("limit", ())[-1:])
    after, before = (_place(entries, name, asked.get(name, ())[-1:]) for name in ("after_id", "before_id"))
    if after is not None and before is not None:
        raise InvalidRequestError("the page is after_id or before_id: leave one of them out", param="before_id")
    if before is not None:
        start = max(0, before - size)
        return entries[start:before], start > 0
    start = 0 if after is None else after + 1
    return entries[start : start + size], start + size < len(entries)


def _size(said: Sequence[str]) -> int:
    size = int(said[0]) if said and said[0].isascii() and said[0].isdigit() and len(said[0]) < 10 else 0
    if said and not 1 <= size <= _LARGEST_PAGE:
        raise InvalidRequestError(f"limit must be 1 to {_LARGEST_PAGE}", param="limit")
    return size or _PAGE


def _place(entries: Sequence[ModelEntry], name: str, said: Sequence[str]) -> int | None:
    """Where the model stands that a page begins or ends at."""
    if not said:
        return None
    found = next((place for place, entry in enumerate(entries) if entry.id == said[0]), None)
    if found is None:
        raise InvalidRequestError(
            f"{name} {said[0][:200]!r} is no model of this list: begin with its first page", param=name
        )
    return found


def _said(**sizes: int | None) -> dict[str, int]:
    return {name: size for name, size in sizes.items() if size is not None}
