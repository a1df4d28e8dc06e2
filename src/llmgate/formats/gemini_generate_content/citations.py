"""Grounding of candidates: chunks of sources, and which words of the answer each of them supports.

Sources: Gemini API reference, "GroundingMetadata" and "CitationMetadata" (``citationSources``; Vertex calls them
``citations``). A segment is counted in bytes of UTF-8 from the beginning of its part; in a stream, from the beginning
of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from llmgate.formats.citations import (
    MOST_CHECKED,
    bounds,
    is_address,
    placed,
    same_words,
    source_name,
    span_of,
    with_citations,
)
from llmgate.spec import Citation, Part, Text

__all__ = ["GROUNDING", "decode_grounding", "encode_grounding", "says", "with_grounding"]

GROUNDING = "groundingMetadata"
_QUOTED = "citationMetadata"


def says(citation: Citation) -> bool:
    """Whether the format has words for a source: its title is enough."""
    return bool(source_name(citation))


def with_grounding(parts: Sequence[Part], candidate: Mapping[str, Any]) -> Sequence[Part]:
    """The parts of a candidate with the sources behind their texts; the very same without any."""
    if not (candidate.get(GROUNDING) or candidate.get(_QUOTED)):
        return parts
    texts = [index for index, part in enumerate(parts) if isinstance(part, Text)]
    known, found = frozenset(texts), dict[int, list[Citation]]()
    for index, citation in _placed(candidate, [part.text if isinstance(part, Text) else "" for part in parts]):
        if texts:
            found.setdefault(index if index in known else texts[0], []).append(citation)
    return with_citations(parts, found)


def decode_grounding(candidate: Mapping[str, Any], text: str) -> list[Citation]:
    """The sources behind a streamed answer.

    Args:
        candidate: The candidate of the event that tells them.
        text: The text of the answer so far.
    """
    return [citation for _, citation in _placed(candidate, [text])]


def encode_grounding(texts: Iterable[tuple[int, Text]]) -> dict[str, Any]:
    """The ``groundingMetadata`` of texts, each with the place of the part that it stands in."""
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for index, part in texts:
        for found in same_words(one for one in part.citations[:MOST_CHECKED] if says(one)):
            indices = [_index_of(_chunk(one), chunks) for one in found]
            place = _segment(part.text, *bounds(found[0], len(part.text)))
            where = {"partIndex": index} if index else {}
            supports.append({"segment": {**where, **place}, "groundingChunkIndices": indices})
    return {"groundingChunks": chunks, "groundingSupports": supports}


def _placed(candidate: Mapping[str, Any], texts: Sequence[str]) -> Iterable[tuple[int, Citation]]:
    """The sources and the part that each stands behind."""
    grounding = _object(candidate, GROUNDING)
    sources = [_source(one) for one in _objects(grounding, "groundingChunks")]
    used: set[int] = set()
    for support in _objects(grounding, "groundingSupports")[:MOST_CHECKED]:
        segment = _object(support, "segment")
        index = segment.get("partIndex")
        index = index if isinstance(index, int) and 0 <= index < len(texts) else 0
        index, span = _find(segment, texts, index)
        for number in _list(support, "groundingChunkIndices"):
            source = sources[number] if isinstance(number, int) and 0 <= number < len(sources) else None
            if source is not None:
                used.add(number)
                yield index, placed(source, *span) if span else source
    for number, source in enumerate(sources):
        if number not in used and source is not None:
            yield 0, source
    quoted = _object(candidate, _QUOTED)
    for one in (*_objects(quoted, "citationSources"), *_objects(quoted, "citations"))[:MOST_CHECKED]:
        if isinstance(one.get("uri"), str):
            index, span = _find(one, texts, 0)
            title = one.get("title")
            source = Citation(uri=one["uri"], title=title if isinstance(title, str) else None)
            yield index, placed(source, *span) if span else source


def _find(segment: Mapping[str, Any], texts: Sequence[str], index: int) -> tuple[int, tuple[int, int] | None]:
    """The part that a segment is in, which is not always told rightly beside thoughts, and its place there."""
    start, end, words = (segment.get(name) for name in ("startIndex", "endIndex", "text"))
    start, end = (one if isinstance(one, int) else None for one in (start, end))
    if isinstance(words, str) and words and words not in texts[index]:
        index = next((place for place, text in enumerate(texts) if words in text), index)
    elif not texts[index]:
        index = next((place for place, text in enumerate(texts) if text), index)
    if start is None and end is None:
        return index, None
    return index, span_of(texts[index], start, end, words if isinstance(words, str) else None, in_bytes=True)


def _source(chunk: Mapping[str, Any]) -> Citation | None:
    for kind, address in (("web", "uri"), ("maps", "uri"), ("retrievedContext", "uri"), ("image", "sourceUri")):
        inner = _object(chunk, kind)
        if inner:
            uri, title, text = (inner.get(name) for name in (address, "title", "text"))
            page = inner.get("pageNumber")
            found = Citation(uri=uri if isinstance(uri, str) else None, title=title if isinstance(title, str) else None)
            found = attrs.evolve(found, quote=text if isinstance(text, str) else None)
            return attrs.evolve(found, unit="page", first=page, last=page + 1) if isinstance(page, int) else found
    return None


def _index_of(chunk: dict[str, Any], chunks: list[dict[str, Any]]) -> int:
    """The place of a chunk among those that are told, of which it is one from now on."""
    if chunk not in chunks:
        chunks.append(chunk)
    return chunks.index(chunk)


def _chunk(citation: Citation) -> dict[str, Any]:
    title = source_name(citation)
    if is_address(citation):
        return {"web": {"uri": citation.uri, "title": title}}
    given = {"uri": citation.uri, "title": title, "text": citation.quote}
    return {"retrievedContext": {name: one for name, one in given.items() if one is not None}}


def _segment(text: str, start: int, end: int) -> dict[str, Any]:
    first = len(text[:start].encode("utf-8", "surrogatepass"))
    last = first + len(text[start:end].encode("utf-8", "surrogatepass"))
    return {**({"startIndex": first} if first else {}), "endIndex": last, "text": text[start:end]}


def _object(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _objects(value: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return [one for one in _list(value, name) if isinstance(one, dict)]


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    inner = value.get(name)
    return inner if isinstance(inner, list) else []
