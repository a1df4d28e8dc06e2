"""What stands inside messages, parts and tools in one format's own words: named where another has no place for it.

Each format keeps such members in ``extra``. What says the same in a canonical field as well, what only marks how
something was written, and what asks for nothing is no loss and is passed by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from llmgate.spec import Blob, ChatRequest, FileRef, Message, Part, Reasoning, Text, ToolCallResponse, Uri

__all__ = [
    "CACHE_MARK",
    "DETAIL",
    "DOCUMENT_MARKS",
    "FILE_TITLE",
    "TITLE",
    "audio_kept_elsewhere",
    "document_marks",
    "inner_losses",
]

CACHE_MARK: Final = "cache_control"
"""How Anthropic marks where a prompt's cache ends, in messages, parts and tools."""

DETAIL: Final = "detail"
"""How closely OpenAI's formats have a picture looked at."""

TITLE: Final = "title"
"""What a document is called, in Anthropic's word."""

FILE_TITLE: Final = "file.title"
"""The same, where only a file is called something and a plain text is written as text."""

DOCUMENT_MARKS: Final = ("context", "citations")
"""What may stand beside a document, in Anthropic's format and in Bedrock's alike."""

_MEDIA: Final = ("file", "fileData", "image_url", "inlineData", "input_audio", "video_url", "audio_url")
"""Members of a part's ``extra`` that hold what stood inside the object of that name."""

_PASSED: Final = frozenset(
    {
        "begins_block", "citationsContent", "custom",
        "data", "displayName", "document", "extra_content", "field", "filename", "format", "id", "index", "key",
        "legacy_function", "logprobs", "mimeType", "name", "namespace", "own", "parameters", "parametersJsonSchema",
        "place", "role", "signature", "status", "thought", "tool_name", "type", "whole_thought",
    }
)  # fmt: skip
"""How something was written, or what is said elsewhere as well."""

_SOURCES: Final = ("annotations", "citations")
"""What stands in canonical citations as well, which the fitting of each format looks at."""

_NOTHING: Final[Mapping[str, Any]] = {"caller": {"type": "direct"}, DETAIL: "auto"}
"""Values that ask for no more than leaving the member out."""


def inner_losses(request: ChatRequest, carried: Collection[str]) -> Iterator[str]:
    """What is lost inside the messages and the tools of a request, as ``messages.NAME`` or ``tools.NAME``.

    Args:
        request: A request that came in another format.
        carried: The members that the format at hand has a place for.
    """
    marks = [name for name in carried if name == CACHE_MARK]
    for message in request.messages:
        if message.extra:
            cited = any(isinstance(part, Text) and part.citations for part in message.parts)
            yield from _lost("messages", message.extra, [*marks, *_SOURCES] if cited else marks)
        for part in message.parts:
            yield from _in_part(part, carried)
    for tool in request.tools:
        if tool.extra and "type" not in tool.extra:
            yield from _lost("tools", _flat(tool.extra, ("function",)), carried)


def audio_kept_elsewhere(message: Message) -> bool:
    """Whether an earlier answer is there by the id of its sound alone, which only its vendor can say again."""
    said = message.extra.get("audio")
    return isinstance(said, Mapping) and "id" in said and not message.parts


def document_marks(part: Part) -> dict[str, Any]:
    """What is asked of a document, as Anthropic and Bedrock say it: that it be cited, and what it is about."""
    if not isinstance(part, Blob | Uri | FileRef) or part.modality != "document":
        return {}
    context, citations = (part.extra.get(name) for name in DOCUMENT_MARKS)
    marks: dict[str, Any] = {"context": context} if isinstance(context, str) and context else {}
    if isinstance(citations, Mapping) and citations.get("enabled") is True:
        marks["citations"] = {"enabled": True}
    return marks


def _in_part(part: Part, carried: Collection[str]) -> Iterator[str]:
    if isinstance(part, ToolCallResponse):
        for inside in part.content:
            yield from _in_part(inside, carried)
    extra: Mapping[str, Any] = getattr(part, "extra", {})
    if not extra or isinstance(part, Reasoning):  # of a thought is said elsewhere whether it can go on
        return
    extra = _flat(extra, ("function", "functionCall", "item", "part", *_MEDIA))
    if isinstance(part, Text):
        # Words have no place for what belongs to a document, in whichever format.
        carried = [name for name in carried if name in (CACHE_MARK, "prompt_cache_breakpoint")]
        extra = {name: one for name, one in extra.items() if name not in _SOURCES} if part.citations else extra
    elif isinstance(part, Blob | Uri | FileRef) and part.modality == "document":
        marks = document_marks(part)
        titled = FILE_TITLE in carried and not (isinstance(part, Blob) and part.media_type == "text/plain")
        silent = [name for name in DOCUMENT_MARKS if name not in marks] + [TITLE] * titled
        extra = {name: one for name, one in extra.items() if name not in silent}
    yield from _lost("messages", extra, carried)


def _lost(where: str, extra: Mapping[str, Any], carried: Collection[str]) -> Iterator[str]:
    for name, value in extra.items():
        if not value or name in _PASSED or name in carried or value == _NOTHING.get(name):
            continue
        yield name if name == CACHE_MARK else f"{where}.{name}"


def _flat(extra: Mapping[str, Any], names: Collection[str]) -> Mapping[str, Any]:
    """The members, with those of the objects of these names beside them."""
    inside = [extra[name] for name in names if isinstance(extra.get(name), Mapping)]
    if not inside:
        return extra
    flat = {name: one for name, one in extra.items() if name not in names}
    for one in inside:
        flat |= one
    return flat
