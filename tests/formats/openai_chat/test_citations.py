from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.openai_chat.citations import decode_annotations, encode_annotations, says
from llmgate.spec import ChoiceDelta, Citation, GatewayChunk, Text

FORMAT = get_format("openai-chat")
PAGE = {"start_index": 0, "end_index": 2, "title": "T", "url": "https://x"}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([{"type": "url_citation", "url_citation": PAGE}], (Citation(0, 2, "https://x", "T"),)),
        ([{"type": "url_citation", **PAGE}], (Citation(0, 2, "https://x", "T"),)),
        ([{"type": "url_citation", "url_citation": {"url": "https://x"}}], (Citation(uri="https://x"),)),
        ([{"type": "url_citation", **PAGE, "start_index": 0, "end_index": 0}], (Citation(uri="https://x", title="T"),)),
        ([{"type": "file", "file": {"hash": "h"}}, 7, None], (Citation(),)),
        ({}, ()),
    ],
)
def test_annotations(value, found):
    assert decode_annotations(value, "abc") == found


def test_only_pages_have_a_place():
    assert not says(Citation(title="a book"))
    found = encode_annotations((Citation(uri="https://x"), Citation(title="a book")), 3)
    assert found == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 0, "end_index": 3, "title": "https://x", "url": "https://x"},
        }
    ]


@pytest.mark.parametrize(
    "annotations", [[], [{"type": "url_citation", "url_citation": PAGE}], [{"type": "file"}], None]
)
def test_an_answer_survives_with_its_annotations(annotations):
    turn = {"role": "assistant", "content": "abc", "refusal": None, "annotations": annotations}
    body = {
        "id": "i",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": turn, "finish_reason": "stop"}],
    }
    assert json.loads(FORMAT.encode_response(FORMAT.decode_response(json.dumps(body).encode()))) == body


def test_a_stream_of_its_own_that_a_stage_has_changed_keeps_its_annotations_as_they_came():
    annotations = [{"type": "url_citation", "url_citation": {**PAGE, "new": 1}}]
    event = {"id": "i", "choices": [{"index": 0, "delta": {"annotations": annotations}, "finish_reason": None}]}
    (chunk,) = FORMAT.stream_reader().decode(f"data: {json.dumps(event)}\n\n".encode())
    assert chunk.choices[0].parts[0].citations == (Citation(0, 2, "https://x", "T"),)
    written = FORMAT.stream_encoder().encode(chunk)
    assert json.loads(written[6:])["choices"][0]["delta"]["annotations"] == annotations


def test_a_source_that_cannot_be_said_makes_no_event():
    encoder = FORMAT.stream_encoder()
    encoder.encode(GatewayChunk((ChoiceDelta(parts=(Text("abc"),)),)))
    assert encoder.encode(GatewayChunk((ChoiceDelta(parts=(Text("", citations=(Citation(title="a book"),)),)),))) == b""
    assert encoder.unsaid == {"answer.citations"}
