from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.gemini_generate_content.citations import decode_grounding, encode_grounding, says, with_grounding
from llmgate.spec import Citation, Reasoning, Text

FORMAT = get_format("gemini-generate-content")
TEXT = "Ä: Rom."
WEB = {"web": {"uri": "https://x", "title": "T"}}
SUPPORT = {"segment": {"startIndex": 4, "endIndex": 8, "text": "Rom."}, "groundingChunkIndices": [0]}


def candidate(**grounding):
    return {"groundingMetadata": grounding}


@pytest.mark.parametrize(
    ("chunks", "supports", "found"),
    [
        ([WEB], [SUPPORT], [Citation(3, 7, "https://x", "T")]),
        ([WEB], [{**SUPPORT, "segment": {"endIndex": 3}}], [Citation(0, 2, "https://x", "T")]),
        (
            [WEB],
            [{**SUPPORT, "segment": {"startIndex": 0, "endIndex": 1, "text": "Rom."}}],
            [Citation(3, 7, "https://x", "T")],
        ),
        ([WEB], [{**SUPPORT, "groundingChunkIndices": [5, "x", -1]}], [Citation(uri="https://x", title="T")]),
        ([WEB], [{"groundingChunkIndices": [0]}], [Citation(uri="https://x", title="T")]),
        ([WEB], [], [Citation(uri="https://x", title="T")]),
        ([{"maps": {"uri": "https://m", "title": "P"}}], [], [Citation(uri="https://m", title="P")]),
        ([{"image": {"sourceUri": "https://i"}}], [], [Citation(uri="https://i")]),
        (
            [{"retrievedContext": {"title": "D", "text": "q", "pageNumber": 4}}],
            [],
            [Citation(title="D", quote="q", unit="page", first=4, last=5)],
        ),
        ([{"new": {}}], [SUPPORT], []),
    ],
)
def test_grounding(chunks, supports, found):
    assert decode_grounding(candidate(groundingChunks=chunks, groundingSupports=supports), TEXT) == found


@pytest.mark.parametrize("name", ["citationSources", "citations"])
def test_quotations_are_sources_too(name):
    told = {"citationMetadata": {name: [{"startIndex": 4, "endIndex": 8, "uri": "https://x", "license": "mit"}, {}]}}
    assert decode_grounding(told, TEXT) == [Citation(3, 7, "https://x")]


def test_a_segment_is_found_in_its_part():
    parts = (Reasoning("hm"), Text("Hallo. "), Text(TEXT))
    for where in ({"partIndex": 2}, {}):
        told = candidate(
            groundingChunks=[WEB], groundingSupports=[{**SUPPORT, "segment": {**SUPPORT["segment"], **where}}]
        )
        shown = with_grounding(parts, told)
        assert shown[2] == Text(TEXT, citations=(Citation(3, 7, "https://x", "T"),))
        assert shown[:2] == list(parts[:2])
    assert with_grounding(parts, {}) is parts
    assert with_grounding((Reasoning("hm"),), candidate(groundingChunks=[WEB])) == (Reasoning("hm"),)


def test_sources_for_the_same_words_stand_together():
    cited = (
        Citation(3, 7, "https://x", "T"),
        Citation(3, 7, title="D", quote="q"),
        Citation(0, 2, "https://x", "T"),
        Citation(),
    )
    assert encode_grounding([(1, Text(TEXT, citations=cited))]) == {
        "groundingChunks": [WEB, {"retrievedContext": {"title": "D", "text": "q"}}],
        "groundingSupports": [
            {
                "segment": {"partIndex": 1, "startIndex": 4, "endIndex": 8, "text": "Rom."},
                "groundingChunkIndices": [0, 1],
            },
            {"segment": {"partIndex": 1, "endIndex": 3, "text": "Ä:"}, "groundingChunkIndices": [0]},
        ],
    }
    assert not says(Citation())


@pytest.mark.parametrize("more", [{}, {"webSearchQueries": ["q"]}])
def test_an_answer_survives_with_its_grounding(more):
    grounding = {"groundingChunks": [WEB], "groundingSupports": [SUPPORT], **more}
    one = {"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0}
    body = {"candidates": [{**one, "groundingMetadata": grounding}], "modelVersion": "m", "responseId": "r"}
    read = FORMAT.decode_response(json.dumps(body).encode())
    assert read.first.extra == ({"groundingMetadata": grounding} if more else {})
    assert json.loads(FORMAT.encode_response(read)) == body


def test_a_stream_tells_each_source_once():
    """Google repeats them with every event, and may tell them before all that they back has been said."""
    reader = FORMAT.stream_reader()
    grounding = {"groundingChunks": [WEB], "groundingSupports": [SUPPORT]}
    events = [
        {"candidates": [{"content": {"parts": [{"text": text}]}, "groundingMetadata": grounding, **end}]}
        for text, end in (("Ä: Rom.", {}), (" Ja.", {"finishReason": "STOP"}))
    ]
    chunks = [one for event in events for one in reader.decode(f"data: {json.dumps(event)}\n\n".encode())]
    found = [one for chunk in chunks for part in chunk.choices[0].parts for one in getattr(part, "citations", ())]
    assert found == [Citation(3, 7, "https://x", "T")]
