"""Places of words, counted by whoever tells them, and texts parted by what stands behind them."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, strategies as st

from llmgate.formats import get_format
from llmgate.formats.citations import (
    SaidText,
    bounds,
    cited_pieces,
    is_address,
    joined,
    kept_citations,
    source_name,
    span_of,
    spread,
    told_behind,
)
from llmgate.spec import Citation, Reasoning, Text

TEXT = "é 👩‍👩‍👧 日本 end"


@pytest.mark.parametrize(
    ("start", "end", "words", "in_bytes", "found"),
    [
        (2, 7, None, False, "👩‍👩‍👧"),
        (3, 21, None, True, "👩‍👩‍👧"),
        (None, 2, None, True, "é"),
        (22, None, None, True, "日本 end"),
        (23, 24, None, True, ""),  # inside a sign
        (0, 4, "日本", False, "日本"),  # the words are told, and are not there
        (9, 11, "👩‍👩‍👧", True, "👩‍👩‍👧"),
        (8, 3, None, False, ""),
        (-4, 1, None, False, "é"),
        (0, 999, None, False, TEXT),
        (2, 4, "nowhere", False, TEXT[2:4]),
    ],
)
def test_a_place_in_code_points(start, end, words, in_bytes, found):
    span = span_of(TEXT, start, end, words, in_bytes=in_bytes)
    assert span is not None
    assert TEXT[slice(*span)] == found


def test_a_place_behind_the_text_is_none():
    assert span_of("ab", 2, 3) is None
    assert span_of("", 0, 0) == (0, 0)


@given(st.text(max_size=12), st.integers(-3, 60), st.integers(-3, 60), st.none() | st.text(max_size=3), st.booleans())
def test_a_place_is_always_in_the_text(text, start, end, words, in_bytes):
    span = span_of(text, start, end, words, in_bytes=in_bytes)
    assert span is None or 0 <= span[0] <= span[1] <= len(text)


def test_the_whole_text_where_no_place_is_told():
    assert bounds(Citation(), 5) == (0, 5)
    assert bounds(Citation(3, 99), 5) == (3, 5)
    assert bounds(Citation(7, 9), 5) == (5, 5)


def test_texts_are_joined_and_parted_again():
    first, second = Citation(0, 1, uri="a://"), Citation(uri="b://")
    parts = (Text("ab", citations=(first,)), Reasoning("x"), Text("cd", citations=(second,)))
    text, found = joined(parts)
    assert (text, found) == ("abcd", (first, Citation(2, 4, uri="b://")))
    again = spread((Text("ab"), Reasoning("x"), Text("cd")), found)
    assert again == [parts[0], parts[1], Text("cd", citations=(Citation(0, 2, uri="b://"),))]
    both = spread((Text("ab"), Text("cd")), (Citation(1, 3, uri="c://"),))
    assert both == [Text("ab", citations=(Citation(1, 2, uri="c://"),)), Text("cd")], "where the words begin"
    assert spread(parts, ()) is parts


@pytest.mark.parametrize(
    ("text", "spans", "pieces"),
    [
        ("abc", [], [("abc", 0)]),
        ("abc", [(0, 3)], [("abc", 1)]),
        ("abc", [(1, 2)], [("a", 0), ("b", 1), ("c", 0)]),
        ("abcd", [(0, 3), (2, 4)], [("ab", 1), ("c", 2), ("d", 1)]),
        ("a b", [(0, 1), (2, 3)], [("a ", 1), ("b", 1)]),
        (" ab", [(1, 2)], [(" a", 1), ("b", 0)]),
        ("ab", [(1, 1)], [("a", 1), ("b", 0)]),
        ("ab", [(0, 0)], [("ab", 0)]),
        ("ab", [(7, 9)], [("ab", 1)]),
        ("", [(0, 1)], [("", 1)]),
        ("ab", [(0, 1)] * 300, [("ab", 300)]),
    ],
)
def test_a_text_is_parted_by_its_sources(text, spans, pieces):
    found = cited_pieces(Text(text, citations=tuple(Citation(*span, uri=f"{i}://") for i, span in enumerate(spans))))
    assert [(one.text, len(one.citations)) for one in found] == pieces


@given(
    st.text(max_size=20),
    st.lists(st.tuples(st.integers(-1, 25), st.integers(-1, 25)), max_size=6),
)
def test_nothing_of_a_text_is_lost_by_parting_it(text, spans):
    found = cited_pieces(Text(text, citations=tuple(Citation(*span) for span in spans)))
    assert "".join(one.text for one in found) == text
    assert all(one.text.strip() for one in found) or len(found) == 1 or not text.strip()


def test_only_sources_that_a_format_has_words_for_are_kept():
    lost = []
    parts = (Text("a", citations=(Citation(uri="x"), Citation(uri="https://x"))), Reasoning("b"), Text("c"))
    kept = list(kept_citations(parts, is_address, lambda: lost.append(1)))
    assert kept == [Text("a", citations=(Citation(uri="https://x"),)), parts[1], parts[2]]
    assert lost == [1]
    assert next(iter(kept_citations(kept[:1], is_address, lambda: lost.append(1)))) is kept[0]


@pytest.mark.parametrize(
    ("citation", "name"),
    [
        (Citation(title="t", uri="u"), "t"),
        (Citation(uri="u"), "u"),
        (Citation(file_id="f"), "f"),
        (Citation(document=1), "document 2"),
        (Citation(search_result=0), "search result 1"),
        (Citation(), ""),
    ],
)
def test_a_source_has_a_name(citation, name):
    assert source_name(citation) == name


def test_a_whole_answer_as_a_stream_tells_it():
    parts = (Text("ab"), Reasoning("x"), Text("cd", citations=(Citation(1, 2, uri="a://"), Citation(uri="b://"))))
    behind = (Citation(3, 4, uri="a://"), Citation(2, 4, uri="b://"))
    assert list(told_behind(parts)) == [parts[0], parts[1], Text("cd"), Text("", citations=behind)]


@pytest.mark.parametrize("name", ["openai-chat", "cohere-chat"])
def test_many_citations_of_many_parts_take_linear_time(name):
    """Whoever sends them back wrongly by the thousand keeps nobody waiting: twice as many take twice as long."""

    def steps(count: int) -> int:
        wrong = {"start": 1, "end": 2, "text": "nowhere", "sources": [], "content_index": 3}
        page = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 9, "url": "https://x"}}
        cited = {"citations": [wrong] * count} if name == "cohere-chat" else {"annotations": [page] * count}
        turn = {"role": "assistant", "content": [{"type": "text", "text": "abc"}] * count, **cited}
        body = json.dumps({"model": "m", "messages": [turn]}).encode()
        wire_format, seen = get_format(name), 0

        def note(*_: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(note)
        try:
            wire_format.encode_request(wire_format.decode_request(body))
        finally:
            sys.setprofile(None)
        return seen

    assert steps(3000) < 2.5 * steps(1500)


def test_what_a_stream_has_said():
    said = SaidText(keeps=True)
    said.add("ab")
    said.begin()
    said.add("cde")
    assert (said.text, said.length, said.begun) == ("abcde", 5, 2)
    inside = list(said.inside((Citation(0, 2), Citation(1, 3), Citation(3, 99), Citation())))
    assert inside == [Citation(0, 1), Citation(1, 3), Citation(0, 3)]
    assert SaidText().text == ""
