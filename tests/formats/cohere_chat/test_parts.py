from __future__ import annotations

import pytest

from llmgate.formats.cohere_chat.parts import decode_content, encode_content, encode_part
from llmgate.formats.fields import ShapeError
from llmgate.spec import Blob, FileRef, InvalidRequestError, Reasoning, Refusal, Text, Unknown, Uri

CONTENT = [
    {"type": "text", "text": "a"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    {"type": "thinking", "thinking": "hm"},
    {"type": "document", "document": {"id": "d", "data": {"a": "é"}}},
    {"type": "document", "document": {"data": "plain"}},
    {"type": "future", "x": 1},
]


def test_every_kind_and_back():
    parts = decode_content(CONTENT, "content")
    assert parts == (
        Text("a"),
        Blob("image", "image/png", "QUJD", extra={"image_url": {"detail": "low"}}),
        Uri("image", "https://x/y.png"),
        Reasoning("hm"),
        Text('{"a":"é"}', extra={"document": {"id": "d", "data": {"a": "é"}}}),
        Text("plain", extra={"document": {"data": "plain"}}),
        Unknown("cohere-chat", {"type": "future", "x": 1}),
    )
    assert encode_content(parts) == CONTENT
    assert (decode_content(None, "c"), decode_content("a", "c")) == ((), (Text("a"),))


def test_parts_of_other_formats():
    assert encode_content([Text("a", extra={"document": {}})], own=False) == "a"
    assert encode_part(Refusal("no")) == {"type": "text", "text": "no"}
    assert encode_part(Blob("document", "text/plain", "QUJD")) == {"type": "text", "text": "ABC"}


@pytest.mark.parametrize(
    "part",
    [
        FileRef("image", "f"),
        Unknown("openai-chat", {}),
        Blob("audio", "audio/wav", "QUJD"),
        Blob("document", "application/pdf", "QUJD"),
        Blob("document", "text/plain", "é"),
    ],
)
def test_what_has_no_place_is_refused(part):
    with pytest.raises(InvalidRequestError) as refused:
        encode_part(part, own=False)
    assert refused.value.code == "unsupported_content"


@pytest.mark.parametrize("content", [3, [3], [{}], [{"type": "text"}], [{"type": "document", "document": "d"}]])
def test_what_is_no_content(content):
    with pytest.raises(ShapeError):
        decode_content(content, "content")
