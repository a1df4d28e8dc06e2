"""Blocks of cited content: words, and what stands behind all of them.

Source: Amazon Bedrock API reference, ``CitationsContentBlock``, ``Citation``, ``CitationLocation``, ``CitationsDelta``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmgate.formats.citations import is_address, source_name
from llmgate.spec import Citation

__all__ = ["decode_citation", "decode_citations", "encode_citations", "says", "says_again"]

_UNITS: Final = {"documentChar": "character", "documentPage": "page", "documentChunk": "block"}
_KINDS: Final = {unit: kind for kind, unit in _UNITS.items()}


def says(citation: Citation) -> bool:
    """Whether an answer has words for a source: its title is enough."""
    return bool(source_name(citation))


def says_again(citation: Citation) -> bool:
    """Whether a request has words for a source of an earlier answer: it is to tell where it is."""
    return bool(_location(citation))


def decode_citations(value: Any) -> tuple[Citation, ...]:
    """The sources behind a block."""
    found = value if isinstance(value, list) else ()
    return tuple(decode_citation(one) for one in found if isinstance(one, dict))


def decode_citation(value: Mapping[str, Any]) -> Citation:
    """A source, whole or in a stream."""
    said = value.get("sourceContent")
    quotes = [one.get("text") for one in said if isinstance(one, dict)] if isinstance(said, list) else []
    location = value.get("location")
    source, title = value.get("source"), value.get("title")
    return Citation(
        title=title if isinstance(title, str) else None,
        quote="".join(one for one in quotes if isinstance(one, str)) or None,
        **{"uri": source if isinstance(source, str) else None, **_place(location)},
    )


def encode_citations(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """The sources behind a block."""
    return [_encode(one) for one in citations]


def _encode(citation: Citation) -> dict[str, Any]:
    value: dict[str, Any] = {"title": source_name(citation)}
    location = _location(citation)
    if citation.uri is not None and "web" not in location:
        value["source"] = citation.uri
    if citation.quote is not None:
        value["sourceContent"] = [{"text": citation.quote}]
    return {**value, "location": location} if location else value


def _place(location: Any) -> dict[str, Any]:
    match location:
        case {"web": {"url": str(url)}}:
            return {"uri": url}
        case {"searchResultLocation": {"searchResultIndex": int(index), **place}}:
            return {"search_result": index, "unit": "block", **_range(place)}
    for kind, unit in _UNITS.items() if isinstance(location, dict) else ():
        match location.get(kind):
            case {"documentIndex": int(index), **place}:
                return {"document": index, "unit": unit, **_range(place)}
    return {}


def _range(place: Mapping[Any, Any]) -> dict[str, Any]:
    start, end = place.get("start"), place.get("end")
    return {"first": start if isinstance(start, int) else None, "last": end if isinstance(end, int) else None}


def _location(citation: Citation) -> dict[str, Any]:
    place = {"start": citation.first, "end": citation.last}
    place = {name: one for name, one in place.items() if one is not None}
    if citation.search_result is not None:
        return {"searchResultLocation": {"searchResultIndex": citation.search_result, **place}}
    if citation.document is not None and citation.unit in _KINDS:
        return {_KINDS[citation.unit]: {"documentIndex": citation.document, **place}}
    return {"web": {"url": citation.uri}} if is_address(citation) else {}
