from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.cohere_chat.citations import decode_citation, encode_citations, says, with_citations
from llmgate.spec import ChoiceDelta, Citation, GatewayChunk, Reasoning, Text

FORMAT = get_format("cohere-chat")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (
            {"type": "document", "id": "d", "document": {"title": "T", "snippet": "q"}},
            Citation(uri="d", title="T", quote="q"),
        ),
        ({"type": "document", "id": "d", "document": {"url": "https://x"}}, Citation(uri="https://x")),
        ({"type": "tool", "id": "t:0", "tool_output": {"rain": "1"}}, Citation(uri="t:0", quote='{"rain":"1"}')),
        ({"type": "document"}, Citation()),
    ],
)
def test_sources(source, found):
    value = {"start": 0, "end": 2, "text": "ab", "sources": [source]}
    (read,) = decode_citation(value, "abc")
    assert read == Citation(0, 2, found.uri, found.title, found.quote)
    assert says(found) is (found != Citation())


def test_several_sources_for_the_same_words():
    value = {
        "start": 0,
        "end": 1,
        "text": "b",
        "sources": [{"type": "document", "id": "a"}, {"type": "tool", "id": "b"}],
    }
    found = decode_citation(value, "abc")
    assert [(one.start, one.end, one.uri) for one in found] == [(1, 2, "a"), (1, 2, "b")], "where the words are counts"
    (written,) = encode_citations(found, "abc", 4)
    assert (written["start"], written["end"], written["text"], written["content_index"]) == (1, 2, "b", 4)
    assert [one["id"] for one in written["sources"]] == ["a", "b"]


def test_a_citation_stands_with_its_block():
    parts = (Reasoning("hm"), Text("ab"), Text("cd"))
    second = {"start": 0, "end": 1, "sources": [{"type": "document", "id": "a"}], "content_index": 2}
    assert with_citations(parts, [second])[2] == Text("cd", citations=(Citation(0, 1, "a"),))
    thought = {"start": 0, "end": 1, "sources": [{"type": "document", "id": "a"}], "type": "THINKING_CONTENT"}
    assert with_citations(parts, [thought, 7])[1] == Text("ab", citations=(Citation(),)), "nobody else has such a thing"
    assert with_citations(parts, None) is parts
    assert with_citations((Reasoning("hm"),), [second]) == (Reasoning("hm"),)


def test_a_stream_of_several_blocks():
    encoder = FORMAT.stream_encoder()
    page = Citation(3, 5, "https://x", "T")
    parts = [Text("ab"), Reasoning("hm"), Text("cde"), Text("", citations=(page, Citation()))]
    data = b"".join(encoder.encode(GatewayChunk((ChoiceDelta(parts=(part,)),))) for part in parts)
    events = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: ")]
    start, end = events[-2:]
    assert (start["type"], end) == ("citation-start", {"type": "citation-end", "index": 0})
    cited = start["delta"]["message"]["citations"]
    assert (cited["start"], cited["end"], cited["text"], cited["content_index"]) == (1, 3, "de", 2)
    assert encoder.unsaid == {"answer.citations"}
