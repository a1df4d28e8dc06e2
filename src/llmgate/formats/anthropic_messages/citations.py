"""Citations of text blocks: what stands behind all of a block.

Source: Anthropic API reference, "Create a Message", ``citations`` of text blocks, and "Streaming messages",
``citations_delta``. What a search on the web has found is cited with a proof (``encrypted_index``) that nobody else can
make: in the answer of another provider a mark stands in its place, by which it is known, and left out, when it comes
back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.citations import is_address
from llmgate.formats.sealing import SEAL
from llmgate.spec import Citation, Part, Text

__all__ = ["decode_citation", "decode_citations", "encode_citations", "says", "says_again", "without_marked"]

_MARK: Final = f"{SEAL}web"
"""``encrypted_index`` of a page that Anthropic has not found."""

_UNITS: Final[Mapping[str, tuple[str, str, str]]] = {
    "char_location": ("character", "start_char_index", "end_char_index"),
    "page_location": ("page", "start_page_number", "end_page_number"),
    "content_block_location": ("block", "start_block_index", "end_block_index"),
}
_KINDS: Final = {unit: kind for kind, (unit, _, _) in _UNITS.items()}


def says(citation: Citation) -> bool:
    """Whether an answer has words for a source: a page, or what the request has brought."""
    return is_address(citation) or says_again(citation)


def says_again(citation: Citation) -> bool:
    """Whether a request has words for a source of an earlier answer: for what it brings itself."""
    if citation.first is None or citation.last is None:
        return False
    return citation.search_result is not None or (citation.document is not None and citation.unit in _KINDS)


def decode_citations(value: Any) -> tuple[Citation, ...]:
    """The sources behind a block."""
    found = map(decode_citation, value) if isinstance(value, list) else ()
    return tuple(one for one in found if one is not None)


def decode_citation(value: Any) -> Citation | None:
    """A source; one that says nothing where nobody knows it; None for what is no citation."""
    match value:
        case {"type": "web_search_result_location", "url": str(url)}:
            return Citation(uri=url, title=_text(value, "title"), quote=_text(value, "cited_text"))
        case {"type": "search_result_location", "search_result_index": int(index)}:
            place = _number(value, "start_block_index"), _number(value, "end_block_index")
            source, title, quote = (_text(value, name) for name in ("source", "title", "cited_text"))
            found = Citation(uri=source, title=title, quote=quote, search_result=index, unit="block")
            return attrs.evolve(found, first=place[0], last=place[1])
        case {"type": str(kind), "document_index": int(index)} if kind in _UNITS:
            unit, first, last = _UNITS[kind]
            found = Citation(title=_text(value, "document_title"), quote=_text(value, "cited_text"), document=index)
            found = attrs.evolve(found, unit=unit, file_id=_text(value, "file_id"))
            return attrs.evolve(found, first=_number(value, first), last=_number(value, last))
        case _:
            return Citation() if isinstance(value, dict) else None


def encode_citations(citations: Iterable[Citation]) -> list[dict[str, Any]]:
    """The sources behind a block."""
    return [_encode(one) for one in citations if says(one)]


def without_marked(parts: Sequence[Part]) -> list[Part]:
    """Parts of a conversation without the pages that Anthropic has not found."""
    return [_unmarked(part) if isinstance(part, Text) and part.citations else part for part in parts]


def _unmarked(part: Text) -> Text:
    if "citations" not in part.extra:
        return attrs.evolve(part, citations=tuple(filter(says_again, part.citations)))
    given = part.extra["citations"]
    kept = [one for one in given if one.get("encrypted_index") != _MARK] if isinstance(given, list) else given
    return part if kept == given else attrs.evolve(part, extra={**part.extra, "citations": kept or None})


def _encode(citation: Citation) -> dict[str, Any]:
    head = {"cited_text": citation.quote or ""}
    if not says_again(citation):
        page = {"url": citation.uri, "title": citation.title, "encrypted_index": _MARK}
        return {"type": "web_search_result_location", **head, **page}
    if citation.search_result is not None:
        named = {"source": citation.uri or "", "title": citation.title, "search_result_index": citation.search_result}
        place = {"start_block_index": citation.first, "end_block_index": citation.last}
        return {"type": "search_result_location", **head, **named, **place}
    kind = _KINDS[citation.unit or ""]
    _, first, last = _UNITS[kind]
    named = {"document_index": citation.document, "document_title": citation.title}
    return {"type": kind, **head, **named, first: citation.first, last: citation.last}


def _text(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    return text if isinstance(text, str) else None


def _number(value: Mapping[str, Any], name: str) -> int | None:
    number = value.get(name)
    return number if isinstance(number, int) else None
