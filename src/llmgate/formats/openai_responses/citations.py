"""Annotations of output text: the pages and files behind its words.

Source: OpenAI API reference, "The response object", ``output_text.annotations``. The reference counts characters and
does not say of which kind; they are read and written as code points of the part's text, the end exclusive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from llmgate.formats.citations import bounds, is_address, source_name, span_of
from llmgate.spec import Citation

__all__ = ["decode_annotation", "decode_annotations", "encode_annotation", "encode_annotations", "says"]


def says(citation: Citation) -> bool:
    """Whether the format has words for a source: for one behind an address, and for a file that is kept."""
    return is_address(citation) or citation.file_id is not None


def decode_annotations(value: Any, text: str | None) -> tuple[Citation, ...]:
    """The sources in ``annotations``.

    Args:
        value: The annotations.
        text: The text of their part; None where it is not at hand, and places are taken as they are told.
    """
    found = (decode_annotation(one, text) for one in value) if isinstance(value, list) else ()
    return tuple(one for one in found if one is not None)


def decode_annotation(value: Any, text: str | None) -> Citation | None:
    """A source; one that says nothing for what is none, such as a ``file_path``; None for what is no annotation."""
    match value:
        case {"type": "url_citation", "url": str(url)}:
            start, end, title = (value.get(name) for name in ("start_index", "end_index", "title"))
            return Citation(*_span(text, start, end), uri=url, title=title if isinstance(title, str) else None)
        case {"type": "container_file_citation", "file_id": str(file_id)}:
            start, end, name = (value.get(name) for name in ("start_index", "end_index", "filename"))
            return Citation(*_span(text, start, end), file_id=file_id, title=name if isinstance(name, str) else None)
        case {"type": "file_citation", "file_id": str(file_id)}:
            place, name = (value.get(name) for name in ("index", "filename"))
            return Citation(*_span(text, place, place), file_id=file_id, title=name if isinstance(name, str) else None)
        case _:
            return Citation() if isinstance(value, dict) else None


def encode_annotations(citations: Iterable[Citation], length: int) -> list[dict[str, Any]]:
    """The ``annotations`` of a text of that length."""
    return [encode_annotation(one, length) for one in citations if says(one)]


def encode_annotation(citation: Citation, length: int) -> dict[str, Any]:
    """One of them."""
    start, end = bounds(citation, length)
    title = source_name(citation)
    if citation.file_id is not None:
        return {"type": "file_citation", "file_id": citation.file_id, "filename": title, "index": end}
    return {"type": "url_citation", "start_index": start, "end_index": end, "title": title, "url": citation.uri}


def _span(text: str | None, start: Any, end: Any) -> tuple[int | None, int | None]:
    if not (isinstance(start, int) and isinstance(end, int)):
        return None, None
    return (start, end) if text is None else span_of(text, start, end) or (None, None)
