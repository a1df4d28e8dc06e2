"""Annotations of messages: the pages behind their words.

Source: OpenAI API reference, "The chat completion object", ``message.annotations``. The reference counts characters and
does not say of which kind; they are read and written as code points, the end exclusive. Streams have them in a delta.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llmgate.formats.citations import bounds, is_address, placed, source_name, span_of
from llmgate.spec import Citation

__all__ = ["decode_annotations", "encode_annotations", "says"]


def says(citation: Citation) -> bool:
    """Whether the format has words for a source: only for one behind an address."""
    return is_address(citation)


def decode_annotations(value: Any, text: str | None) -> tuple[Citation, ...]:
    """The sources in the ``annotations`` of a message or a delta; one that nobody knows says nothing.

    Args:
        value: The annotations.
        text: The content that they are about; None where it is not at hand, and places are taken as they are told.
    """
    found = []
    for one in value if isinstance(value, list) else ():
        inner = one.get("url_citation") if isinstance(one, dict) else None
        inner = one if inner is None and isinstance(one, dict) else inner  # Perplexity and others write it flat
        if isinstance(inner, dict):
            known = isinstance(inner.get("url"), str) and one.get("type") == "url_citation"
            found.append(_decode(inner, text) if known else Citation())
    return tuple(found)


def encode_annotations(citations: Iterable[Citation], length: int) -> list[dict[str, Any]]:
    """The ``annotations`` of a content.

    Args:
        citations: The sources behind it.
        length: Code points of the content.
    """
    return [{"type": "url_citation", "url_citation": _encode(one, length)} for one in citations if says(one)]


def _decode(inner: Mapping[str, Any], text: str | None) -> Citation:
    start, end, title = (inner.get(name) for name in ("start_index", "end_index", "title"))
    span: tuple[int, int] | None = None
    if isinstance(start, int) and isinstance(end, int) and (start, end) != (0, 0):
        span = (start, end) if text is None else span_of(text, start, end)
    found = Citation(uri=inner["url"], title=title if isinstance(title, str) else None)
    return placed(found, *span) if span else found


def _encode(citation: Citation, length: int) -> dict[str, Any]:
    start, end = bounds(citation, length)
    return {"start_index": start, "end_index": end, "title": source_name(citation), "url": citation.uri}
