from __future__ import annotations

import json

import anthropic.types
import pytest
from pydantic import TypeAdapter

from llmgate.formats import get_format
from llmgate.formats.anthropic_messages.citations import (
    decode_citations,
    encode_citations,
    says,
    says_again,
    without_marked,
)
from llmgate.formats.anthropic_messages.events import BlockReader
from llmgate.spec import ChoiceDelta, Citation, GatewayChunk, Text

FORMAT = get_format("anthropic-messages")
KNOWN: TypeAdapter[anthropic.types.TextCitation] = TypeAdapter(anthropic.types.TextCitation)
CHARS = {"type": "char_location", "cited_text": "q", "document_index": 1, "document_title": "D", "start_char_index": 2,
         "end_char_index": 5}  # fmt: skip
PAGES = {"type": "page_location", "cited_text": "q", "document_index": 0, "document_title": None,
         "start_page_number": 1, "end_page_number": 2}  # fmt: skip
BLOCKS = {"type": "content_block_location", "cited_text": "q", "document_index": 0, "document_title": "D",
          "start_block_index": 0, "end_block_index": 1}  # fmt: skip
FOUND = {"type": "search_result_location", "cited_text": "q", "source": "https://x", "title": "T",
         "search_result_index": 3, "start_block_index": 0, "end_block_index": 2}  # fmt: skip
WEB = {
    "type": "web_search_result_location",
    "cited_text": "q",
    "encrypted_index": "E",
    "title": "T",
    "url": "https://x",
}


@pytest.mark.parametrize("value", [CHARS, PAGES, BLOCKS, FOUND])
def test_what_the_request_brought_comes_back_as_it_was(value):
    KNOWN.validate_python(value, strict=True)
    (found,) = decode_citations([value])
    assert says(found)
    assert says_again(found)
    assert encode_citations([found]) == [value]


def test_a_page_is_marked_as_not_found_here():
    (found,) = decode_citations([WEB])
    assert found == Citation(uri="https://x", title="T", quote="q")
    assert says(found)
    assert not says_again(found)
    (written,) = encode_citations([found])
    KNOWN.validate_python(written, strict=True)
    assert written == {**WEB, "encrypted_index": "llmgate.1.web"}
    (part,) = without_marked([Text("a", extra={"citations": [WEB, written]}, citations=(found, found))])
    assert isinstance(part, Text)
    assert part.extra == {"citations": [WEB]}
    assert without_marked([Text("a", citations=(found,))]) == [Text("a")]
    kept = Text("a", extra={"citations": [WEB]}, citations=(found,))
    assert without_marked([kept])[0] is kept


def test_what_nobody_knows_says_nothing():
    assert decode_citations([{"type": "new_location"}, 7]) == (Citation(),)
    assert decode_citations(None) == ()
    assert not says(Citation(title="a book"))


@pytest.mark.parametrize("citations", [None, [], [WEB], [CHARS], [{"type": "new_location", "x": 1}]])
def test_an_answer_survives_with_its_citations(citations):
    block = {"type": "text", "text": "abc", "citations": citations}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [block]}
    body = {
        **message,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    read = FORMAT.decode_response(json.dumps(body).encode())
    assert json.loads(FORMAT.encode_response(read))["content"] == [block]


def delta(index, **value):
    return "content_block_delta", {"index": index, "delta": value}


def test_citations_of_a_stream_stand_behind_their_block():
    """Whether they come before the text or behind it, or with the beginning of the block."""
    reader = BlockReader()
    events = [
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": "ab"}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": "", "citations": [FOUND]}}),
        delta(1, type="citations_delta", citation=WEB),
        delta(1, type="text_delta", text="cde"),
        ("content_block_stop", {"index": 1}),
    ]
    said = [part for kind, value in events if (found := reader.read(kind, value)) for part in found.parts]
    assert [part.text for part in said] == ["ab", "cde", ""]
    assert said[1].extra == {"begins_block": True}
    assert [(one.start, one.end, one.uri) for one in said[2].citations] == [(2, 5, "https://x")] * 2


def test_a_cited_block_ends_with_its_citations():
    encoder = FORMAT.stream_encoder()
    page = Citation(1, 3, "https://x", "T")
    parts = [Text("abc"), Text("", citations=(page,)), Text("", citations=(page, Citation(title="a book"))), Text("d")]
    data = b"".join(encoder.encode(GatewayChunk((ChoiceDelta(parts=(part,)),))) for part in parts)
    kinds = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")][1:]
    told = [one.get("delta", {}).get("type") or one["type"] for one in kinds]
    assert told == ["content_block_start", "text_delta", "citations_delta", "content_block_stop",
                    "content_block_start", "text_delta"]  # fmt: skip
    assert encoder.unsaid == {"answer.citations"}, "a block that has ended cannot be cited any more"
