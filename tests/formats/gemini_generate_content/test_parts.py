from __future__ import annotations

import base64

import pytest
from google.genai import types

from llmgate.formats.fields import ShapeError
from llmgate.formats.gemini_generate_content.parts import (
    call_input,
    decode_part,
    decode_parts,
    encode_part,
    encode_result,
    modality_of,
)
from llmgate.formats.thought_signatures import signed
from llmgate.spec import (
    Blob,
    FileRef,
    InvalidRequestError,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolCallResponse,
    Unknown,
    Uri,
)

NAME = "gemini-generate-content"
PARTS = [
    ({"text": "a"}, Text("a")),
    ({"text": "", "thoughtSignature": "s+//"}, Text("", extra=signed("s+//"))),
    ({"text": "hm", "thought": True}, Reasoning("hm")),
    (
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "i"}, "thoughtSignature": "c2ln"},
        ToolCall("i", "f", '{"a":1}', extra=signed("c2ln")),
    ),
    ({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}, Blob("audio", "audio/wav", "AAAA")),
    (
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 1}},
        Uri("video", "https://youtu.be/x", "video/mp4", extra={"videoMetadata": {"fps": 1}}),
    ),
    (
        {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a.png"}},
        FileRef("image", "gs://bucket/a.png", extra={"mimeType": "image/png"}),
    ),
    ({"executableCode": {"language": "PYTHON", "code": "1"}}, None),
]


@pytest.mark.parametrize(("value", "part"), PARTS)
def test_parts_are_read_and_written(value, part):
    read = decode_part(value, "p")
    assert read == (Unknown(NAME, value) if part is None else part)
    assert encode_part(read) == value
    types.Part.model_validate(value)


def test_files_that_google_keeps_are_no_addresses():
    uri = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    assert decode_part({"file_data": {"file_uri": uri}}, "p") == FileRef("document", uri)


def test_base64_comes_in_both_alphabets():
    assert decode_part({"inline_data": {"mime_type": "image/png", "data": "a-_A-w"}}, "p").data == "a+/A+w=="


@pytest.mark.parametrize(
    "extra",
    [{}, {"type": "redacted_thinking", "data": "opaque"}],
)
def test_another_vendors_signature_comes_back_as_it_was(extra):
    """Google's library decodes the field and writes it in the other alphabet of base64."""
    part = Reasoning("why", None if extra else "ErUB/+sig==", extra=extra)
    value = encode_part(part, own=False)
    returned = base64.urlsafe_b64encode(base64.b64decode(value["thoughtSignature"])).decode()
    assert decode_part({**value, "thoughtSignature": returned}, "p") == part


def test_a_streamed_thought_comes_back_with_all_of_its_text():
    value = encode_part(Reasoning("", "sig", extra={"whole_thought": "all of it"}), own=False)
    assert value["text"] == ""
    assert decode_part(value, "p") == Reasoning("all of it", "sig")


@pytest.mark.parametrize(
    "signature", ["c2ln", "!", base64.b64encode(b"llmgate:thought:[]").decode(), "bGxtZ2F0ZTp0aG91Z2h0Og"]
)
def test_googles_own_signature_is_opaque(signature):
    part = decode_part({"text": "t", "thought": True, "thoughtSignature": signature}, "p")
    assert part == Reasoning("t", extra=signed(signature))


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"result": "sunny"}, "sunny", False),
        ({"result": 21}, '{"result":21}', False),
        ({"error": "no such city"}, "no such city", True),
        ({"error": {"code": 1}}, '{"code":1}', True),
        ({"a": 1, "b": [2]}, '{"a":1,"b":[2]}', False),
    ],
)
def test_results_are_objects(response, text, failed):
    value = {"functionResponse": {"name": "f", "response": response}}
    part = decode_part(value, "p")
    assert (part.content, part.is_error, part.extra["name"]) == ((Text(text),), failed, "f")
    if not (failed and text.startswith("{")):
        assert encode_result(part, "f", "", media=True) == value
    types.Part.model_validate(value)


def test_a_result_with_a_picture():
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    value = {"functionResponse": {"id": "i", "name": "f", "response": {"output": "see"}, "parts": [picture]}}
    part = decode_part(value, "p")
    assert part.content == (Text("see"), Blob("image", "image/png", "AAAA"))
    assert encode_result(part, "f", "i", media=True) == value
    assert "parts" not in encode_result(part, "f", "i", media=False)["functionResponse"]


def test_a_result_of_several_texts_and_of_none():
    several = ToolCallResponse("i", (Text("a"), Text("b")))
    assert encode_result(several, "f", "", media=False, own=False)["functionResponse"]["response"] == {"output": "a\nb"}
    empty = ToolCallResponse("i", ())
    assert encode_result(empty, "f", "", media=False, own=False)["functionResponse"]["response"] == {}


def test_parts_of_other_formats_have_no_extras_but_signatures():
    part = Text("a", extra={"cache_control": {"type": "ephemeral"}, **signed("c2ln")})
    assert encode_part(part, own=False) == {"text": "a", "thoughtSignature": "c2ln"}
    assert encode_part(Refusal("no"), own=False) == {"text": "no"}
    with pytest.raises(InvalidRequestError):
        encode_part(Unknown("other", {}))


@pytest.mark.parametrize(
    ("arguments", "value"),
    [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ("[1]", {"INVALID_JSON": "[1]"}), ("{", {"INVALID_JSON": "{"})],
)
def test_arguments_become_an_object(arguments, value):
    assert call_input(arguments) == value


@pytest.mark.parametrize(
    "value",
    [1, {"text": 1}, {"functionCall": 1}, {"functionResponse": {}}, {"inlineData": {"data": "a"}}, {"fileData": {}}],
)
def test_what_is_no_part_is_named(value):
    with pytest.raises(ShapeError, match=r"parts\[0\]"):
        decode_parts([value], "parts")


def test_modalities():
    kinds = ("image/png", "AUDIO/wav", "video/mp4", "application/pdf", "text/plain", "")
    assert [modality_of(kind) for kind in kinds] == ["image", "audio", "video", "document", "document", "document"]
