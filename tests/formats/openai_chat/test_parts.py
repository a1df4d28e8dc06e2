from __future__ import annotations

import pytest

from llmgate.formats.fields import ShapeError
from llmgate.formats.openai_chat.parts import decode_part, encode_part
from llmgate.spec import Blob, FileRef, InvalidRequestError, Reasoning, Refusal, Text, ToolCall, Unknown, Uri

CASES = [
    ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
     Text("hi", extra={"cache_control": {"type": "ephemeral"}})),
    ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    ({"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
     Uri("image", "https://a.example/b.png", extra={"image_url": {"detail": "low"}})),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}, Blob("image", "image/png", "aGk=")),
    ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, Uri("image", "data:image/png,raw")),
    ({"type": "video_url", "video_url": {"url": "https://a.example/b.mp4"}}, Uri("video", "https://a.example/b.mp4")),
    ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}, Blob("audio", "audio/mpeg", "aGk=")),
    ({"type": "file", "file": {"file_id": "file-1"}}, FileRef("document", "file-1")),
    ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
     Blob("document", "application/pdf", "aGk=", extra={"file": {"filename": "a.pdf"}})),
    ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, Reasoning("hm", extra={"field": "content"})),
    ({"type": "file", "file": {"file_data": "aGk="}},
     Unknown("openai-chat", {"type": "file", "file": {"file_data": "aGk="}})),
    ({"type": "hologram", "x": 1}, Unknown("openai-chat", {"type": "hologram", "x": 1})),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "part"), CASES)
def test_both_ways(wire, part):
    assert decode_part(wire, "p") == part
    assert encode_part(part) == wire


def test_a_bare_address_is_read_too():
    assert decode_part({"type": "image_url", "image_url": "https://a.example"}, "p") == Uri(
        "image", "https://a.example"
    )


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        ("text", "p"),
        ({}, "p.type"),
        ({"type": 1}, "p.type"),
        ({"type": "text"}, "p.text"),
        ({"type": "image_url", "image_url": {}}, "p.image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": "x"}}, "p.input_audio.format"),
        ({"type": "file", "file": {}}, "p.file"),
        ({"type": "file", "file": {"file_id": "a", "file_data": "b"}}, "p.file"),
    ],
)
def test_names_what_is_wrong(wire, path):
    with pytest.raises(ShapeError) as caught:
        decode_part(wire, "p")
    assert caught.value.path == path


@pytest.mark.parametrize("part", [Unknown("anthropic-messages", {"type": "search_result"}), ToolCall("1", "f", "{}")])
def test_refuses_what_has_no_counterpart(part):
    with pytest.raises(InvalidRequestError, match="no counterpart"):
        encode_part(part)


def test_fields_of_another_format_are_not_written():
    assert encode_part(Text("a", extra={"cache_control": {}}), own=False) == {"type": "text", "text": "a"}
