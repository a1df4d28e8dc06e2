"""Sources behind the words of answers, on their way between formats that place them differently.

OpenAI, Gemini and Cohere tell which words a source backs: by code points (OpenAI's and Cohere's documents say
characters), and by bytes of UTF-8 at Google. Anthropic and Bedrock part the text instead, and say what stands behind
each part of it. Canonically a source is a ``Citation`` on the text, and its place is counted in code points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Final

import attrs

from llmgate.spec import Citation, Part, Text

__all__ = [
    "BEGINS",
    "MOST_CHECKED",
    "SaidText",
    "bounds",
    "cited_pieces",
    "is_address",
    "joined",
    "kept_citations",
    "placed",
    "same_words",
    "source_name",
    "span_of",
    "spread",
    "told_behind",
    "with_citations",
]

BEGINS: Final = "begins_block"
"""In the ``extra`` of a streamed text: it begins a block of its own, right behind another."""

MOST_CHECKED: Final = 1024
"""Citations whose words are looked for where their place does not hold them; each look goes over the text."""

_MOST_CUTS: Final = 256
"""Citations of a text that is parted by them; one with more stays whole, with all of them."""


def is_address(citation: Citation) -> bool:
    """Whether the source is behind an address, rather than something that only the request calls so."""
    return citation.uri is not None and "://" in citation.uri[:64]


def source_name(citation: Citation) -> str:
    """What to call a source: its title, else what leads to it."""
    if citation.title or citation.uri or citation.file_id:
        return citation.title or citation.uri or citation.file_id or ""
    if citation.document is not None:
        return f"document {citation.document + 1}"
    return "" if citation.search_result is None else f"search result {citation.search_result + 1}"


def bounds(citation: Citation, length: int) -> tuple[int, int]:
    """Where the words that a source backs begin and end in a text of that length."""
    start, end = citation.start, citation.end
    if start is None or end is None:
        return 0, length
    start = min(max(start, 0), length)
    return start, max(start, min(end, length))


def placed(citation: Citation, start: int, end: int) -> Citation:
    """The same source for other words."""
    return attrs.evolve(citation, start=start, end=end)


def span_of(
    text: str, start: int | None, end: int | None, words: str | None = None, *, in_bytes: bool = False
) -> tuple[int, int] | None:
    """The place of words in code points, as far as it can be trusted; None where it leads nowhere.

    Args:
        text: The text.
        start: Where they begin, as the vendor counts; None for its beginning.
        end: Where they end, exclusive; None for the end of the text.
        words: The words, where the vendor repeats them: they are looked for where the place does not hold them.
        in_bytes: Whether the vendor counts bytes of UTF-8.
    """
    first = max(start or 0, 0)
    if in_bytes and not text.isascii():
        data = text.encode("utf-8", "surrogatepass")
        last = len(data) if end is None else max(end, first)
        first, last = (len(data[:place].decode("utf-8", "ignore")) for place in (first, last))
    else:
        last = len(text) if end is None else max(end, first)
    if words and text[first:last] != words:
        near = text.find(words, max(0, first - len(words)))
        near = text.find(words) if near < 0 else near
        if near >= 0:
            return near, near + len(words)
    return None if first >= len(text) and text else (min(first, len(text)), min(last, len(text)))


def joined(parts: Iterable[Part]) -> tuple[str, tuple[Citation, ...]]:
    """The texts among parts as one, and the sources behind it."""
    texts: list[str] = []
    found: list[Citation] = []
    length = 0
    for part in parts:
        if not isinstance(part, Text):
            continue
        texts.append(part.text)
        for one in part.citations:
            start, end = bounds(one, len(part.text))
            found.append(placed(one, length + start, length + end))
        length += len(part.text)
    return "".join(texts), tuple(found)


def spread(parts: Sequence[Part], citations: Sequence[Citation]) -> Sequence[Part]:
    """Parts with the sources of all their text, each where its words begin; the very same without any."""
    places = [index for index, part in enumerate(parts) if isinstance(part, Text)]
    if not citations or not places:
        return parts
    lengths = [len(part.text) for part in parts if isinstance(part, Text)]
    starts = [0, *accumulate(lengths)][:-1]
    on_texts: dict[int, list[Citation]] = {}
    for one in citations:
        at = 0 if one.start is None else max(bisect_right(starts, one.start) - 1, 0)
        begun = starts[at]
        known = one.start is not None and one.end is not None
        moved = placed(one, (one.start or 0) - begun, min((one.end or 0) - begun, lengths[at])) if known else one
        on_texts.setdefault(places[at], []).append(moved)
    return with_citations(parts, on_texts)


def with_citations(parts: Sequence[Part], found: Mapping[int, Sequence[Citation]]) -> Sequence[Part]:
    """Parts with more sources behind texts that are told by their places; the very same where there are none."""
    if not found:
        return parts
    return [
        attrs.evolve(part, citations=(*part.citations, *found[index]))
        if isinstance(part, Text) and index in found
        else part
        for index, part in enumerate(parts)
    ]


def told_behind(parts: Iterable[Part]) -> Iterable[Part]:
    """Parts of a whole answer as a stream tells them: the sources behind a text follow it, with places in all of it."""
    begun = 0
    for part in parts:
        if not isinstance(part, Text):
            yield part
            continue
        yield attrs.evolve(part, citations=()) if part.citations else part
        length = len(part.text)
        spans = [bounds(one, length) for one in part.citations]
        found = [
            placed(one, begun + start, begun + end) for one, (start, end) in zip(part.citations, spans, strict=True)
        ]
        if found:
            yield Text("", citations=tuple(found))
        begun += length


def kept_citations(parts: Iterable[Part], says: Callable[[Citation], bool], lost: Callable[[], None]) -> Iterable[Part]:
    """Parts with the sources that a format has words for.

    Args:
        parts: The parts.
        says: Whether the format has words for a source.
        lost: Is told where it has none.
    """
    for part in parts:
        if isinstance(part, Text) and part.citations and not all(map(says, part.citations)):
            lost()
            part = attrs.evolve(part, citations=tuple(filter(says, part.citations)))
        yield part


def cited_pieces(part: Text) -> Sequence[Text]:
    """A text parted so that whatever stands behind a piece stands behind all of it, as Anthropic and Bedrock have it.

    A piece of white space, which they refuse in the next request, stays with the one before it.
    """
    length = len(part.text)
    if not part.citations or len(part.citations) > _MOST_CUTS or not length:
        return (part,)
    spans = [(bounds(one, length), one) for one in part.citations]
    cuts = sorted({0, length, *(place for (span, _) in spans for place in span)})
    pieces: list[tuple[str, tuple[Citation, ...]]] = []
    for start, end in pairwise(cuts):
        behind = tuple(one for (first, last), one in spans if _backs(first, last, start, end))
        text = part.text[start:end]
        if pieces and (not text.strip() or behind == pieces[-1][1] or not pieces[-1][0].strip()):
            text, behind = pieces[-1][0] + text, behind if not pieces[-1][0].strip() else pieces[-1][1]
            pieces.pop()
        pieces.append((text, behind))
    return [attrs.evolve(part, text=text, citations=tuple(_bare(one) for one in behind)) for text, behind in pieces]


def _backs(first: int, last: int, start: int, end: int) -> bool:
    """Whether what backs the words from ``first`` to ``last`` backs a piece; no words at all are those before them."""
    return first <= start and end <= last if first < last else end == max(first, 1)


def _bare(citation: Citation) -> Citation:
    return attrs.evolve(citation, start=None, end=None)


def same_words(citations: Iterable[Citation]) -> Iterable[list[Citation]]:
    """Sources that stand one behind the other for the same words, together."""
    for _, found in groupby(citations, key=lambda one: (one.start, one.end)):
        yield list(found)


class SaidText:
    """The text of one streamed answer so far, and where the block that is being written begins in it.

    Args:
        keeps: Whether the words are kept; otherwise it is only known how many there are.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self._keeps = keeps
        self._pieces: list[str] = []
        self.length = 0
        """Code points of all of it."""
        self.begun = 0
        """Where the block begins."""

    @property
    def text(self) -> str:
        """All of it, where it is kept."""
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def add(self, text: str) -> None:
        """The next piece."""
        self.length += len(text)
        if self._keeps:
            self._pieces.append(text)

    def begin(self) -> None:
        """A new block begins."""
        self.begun = self.length

    def inside(self, citations: Iterable[Citation]) -> Iterable[Citation]:
        """Of the sources those that back words of this block, with their places in it."""
        for one in citations:
            start, end = bounds(one, self.length)
            if end > self.begun or (start == end == self.begun):
                yield placed(one, max(start - self.begun, 0), end - self.begun)
