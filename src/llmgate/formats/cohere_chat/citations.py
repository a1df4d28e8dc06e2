"""Citations of messages: words of the answer, and the documents and results of tools behind them.

Source: Cohere API reference, "Chat (v2)", ``message.citations`` and the events ``citation-start`` and ``citation-end``.
Places are counted in characters from the beginning of a content block (``content_index``), and the words are told, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.citations import (
    MOST_CHECKED,
    bounds,
    is_address,
    placed,
    same_words,
    source_name,
    span_of,
    with_citations as add_citations,
)
from llmgate.spec import Citation, Part, Text

__all__ = ["decode_citation", "encode_citations", "says", "with_citations"]

_ELSEWHERE: Final = frozenset({"THINKING_CONTENT", "PLAN"})
"""Citations of what is no content."""


def says(citation: Citation) -> bool:
    """Whether the format has words for a source: a name is enough."""
    return bool(source_name(citation))


def with_citations(parts: Sequence[Part], value: Any) -> Sequence[Part]:
    """The parts of a message with the sources behind its content; the very same without any."""
    if not isinstance(value, list) or not value:
        return parts
    texts = [place for place, part in enumerate(parts) if isinstance(part, Text) and "field" not in part.extra]
    known, found = frozenset(texts), dict[int, list[Citation]]()
    for number, one in enumerate(value if texts else ()):
        if isinstance(one, dict):
            index = one.get("content_index")
            home = index if isinstance(index, int) and index in known else texts[0]
            said = parts[home]
            text = said.text if isinstance(said, Text) and number < MOST_CHECKED else None
            told = decode_citation(one, text) if one.get("type") not in _ELSEWHERE else [Citation()]
            found.setdefault(home, []).extend(told)
    return add_citations(parts, found)


def decode_citation(value: Mapping[str, Any], text: str | None) -> list[Citation]:
    """The sources that one citation names, each for the same words; one that names none says nothing to others.

    Args:
        value: The citation.
        text: The text of its block; None to take its place as it is told.
    """
    start, end, words = (value.get(name) for name in ("start", "end", "text"))
    span: tuple[int, int] | None = None
    if isinstance(start, int) and isinstance(end, int):
        words = words if isinstance(words, str) else None
        span = (start, end) if text is None else span_of(text, start, end, words)
    sources = value.get("sources")
    found = [_source(one) for one in sources if isinstance(one, dict)] if isinstance(sources, list) else []
    return [placed(one, *span) if span else one for one in found or [Citation()]]


def encode_citations(citations: Iterable[Citation], text: str, index: int | None = None) -> list[dict[str, Any]]:
    """The citations of a content block.

    Args:
        citations: The sources behind it, with their places in it.
        text: Its text.
        index: Which block it is; None to leave that out.
    """
    written = []
    for found in same_words(one for one in citations if says(one)):
        start, end = bounds(found[0], len(text))
        value: dict[str, Any] = {"start": start, "end": end, "text": text[start:end]}
        value["sources"] = [_encode(one) for one in found]
        where = {} if index is None else {"content_index": index}
        written.append({**value, **where, "type": "TEXT_CONTENT"})
    return written


def _source(value: Mapping[str, Any]) -> Citation:
    inner = value.get("document") if value.get("type") != "tool" else value.get("tool_output")
    inner = inner if isinstance(inner, dict) else {}
    uri, title = (_first(inner, names) for names in (("url", "uri", "link"), ("title", "name")))
    own_id, quote = value.get("id"), _first(inner, ("snippet", "text", "content", "data"))
    if quote is None and inner and uri is None and title is None:
        quote = dumps(inner).decode()
    name = own_id if isinstance(own_id, str) and own_id else None
    return Citation(uri=uri or name, title=title, quote=quote)


def _encode(citation: Citation) -> dict[str, Any]:
    document = {"title": source_name(citation), "snippet": citation.quote}
    if is_address(citation):
        document["url"] = citation.uri
    own_id = citation.uri or citation.file_id or source_name(citation)
    known = {name: one for name, one in document.items() if one}
    return {"type": "document", "id": own_id, "document": {"id": own_id, **known}}


def _first(value: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((value[name] for name in names if isinstance(value.get(name), str) and value[name]), None)
