"""What blocks that only Anthropic or Bedrock has say to the others: search results, documents of parts, found tools.

The two have search results in common, which go from one to the other as they are; elsewhere their words are text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import Blob, Message, Part, Role, Text, ToolCallResponse, Unknown, Uri

__all__ = ["SEARCH_RESULTS", "with_plain_blocks"]

SEARCH_RESULTS: Final = "search_results"
"""Says that a format has a place for search results."""

_ANTHROPIC: Final = "anthropic-messages"
_BEDROCK: Final = "bedrock-converse"


def with_plain_blocks(
    messages: Sequence[Message], carried: Collection[str], report: Callable[[str], None]
) -> Sequence[Message]:
    """Messages in which others can read these blocks; the very same where there are none.

    Args:
        messages: The conversation.
        carried: What the format at hand has a place for inside messages.
        report: Is told of what is lost.
    """
    if not any(_holds(part) for message in messages for part in message.parts):
        return messages
    return tuple(
        message
        if message.role is Role.ASSISTANT
        else attrs.evolve(message, parts=tuple(_parts(message.parts, carried, report)))
        for message in messages
    )


def _holds(part: Part) -> bool:
    if isinstance(part, ToolCallResponse):
        return any(isinstance(inside, Unknown) for inside in part.content)
    return isinstance(part, Unknown)


def _parts(parts: Sequence[Part], carried: Collection[str], report: Callable[[str], None]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, ToolCallResponse) and _holds(part):
            yield attrs.evolve(part, content=tuple(_parts(part.content, carried, report)))
        elif isinstance(part, Unknown):
            yield from _said(part, carried, report)
        else:
            yield part


def _said(part: Unknown, carried: Collection[str], report: Callable[[str], None]) -> Sequence[Part]:
    found = _search_result(part)
    if found is not None:
        if SEARCH_RESULTS in carried:
            return (_as_others_have_it(part, found),)
        if _cites(found):
            report("messages.citations")
        words = [found.get("title"), found.get("source"), *_texts(found.get("content"))]
        return (Text("\n".join(word for word in words if isinstance(word, str) and word)),)
    match part:
        case Unknown(format="anthropic-messages", value={"type": "tool_reference", "tool_name": str(name)}):
            report("messages.tool_reference")
            return (Text(f"The tool {name} can be called now."),)
        case Unknown(format="anthropic-messages", value={"type": "document", "source": {"type": "content"}}):
            return _document(part, report)
    return (part,)


def _search_result(part: Unknown) -> Mapping[str, Any] | None:
    value = part.value
    if not isinstance(value, Mapping):
        return None
    if part.format == _ANTHROPIC and value.get("type") == "search_result":
        return value
    inside = value.get("searchResult") if part.format == _BEDROCK else None
    return inside if isinstance(inside, Mapping) else None


def _as_others_have_it(part: Unknown, found: Mapping[str, Any]) -> Unknown:
    known = {name: found[name] for name in ("source", "title") if name in found}
    if _cites(found):
        known["citations"] = {"enabled": True}
    if part.format == _ANTHROPIC:
        texts: list[dict[str, Any]] = [{"text": text} for text in _texts(found.get("content"))]
        return Unknown(_BEDROCK, {"searchResult": {**known, "content": texts}})
    texts = [{"type": "text", "text": text} for text in _texts(found.get("content"))]
    return Unknown(_ANTHROPIC, {"type": "search_result", **known, "content": texts})


def _document(part: Unknown, report: Callable[[str], None]) -> Sequence[Part]:
    """The parts that a document is made of; one that nobody else can say leaves it whole, to be refused."""
    document = part.value
    content = document["source"].get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    said: list[Part] = []
    for block in blocks if isinstance(blocks, list) else [None]:
        match block:
            case {"type": "text", "text": str(text)}:
                said.append(Text(text))
            case {"type": "image", "source": {"type": "base64", "media_type": str(kind), "data": str(data)}}:
                said.append(Blob("image", kind, data))
            case {"type": "image", "source": {"type": "url", "url": str(url)}}:
                said.append(Uri("image", url))
            case _:
                return (part,)
    for name in ("title", "context"):
        if document.get(name):
            report(f"messages.{name}")
    if _cites(document):
        report("messages.citations")
    return said


def _texts(content: Any) -> list[str]:
    blocks = content if isinstance(content, list) else []
    return [one["text"] for one in blocks if isinstance(one, Mapping) and isinstance(one.get("text"), str)]


def _cites(block: Mapping[str, Any]) -> bool:
    citations = block.get("citations")
    return isinstance(citations, Mapping) and citations.get("enabled") is True
