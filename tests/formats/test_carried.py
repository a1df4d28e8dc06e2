"""What the carried formats read of requests and answers."""

from __future__ import annotations

import json

import pytest

from llmgate.codecs.multipart import Form, FormScanner, encode_form
from llmgate.formats import get_format, read_request
from llmgate.formats.carried import FORM_FIELDS, CarriedFormat, read_form_request, usage_of
from llmgate.spec import HeldUpload, InvalidRequestError, Operation, ProviderProtocolError, Usage

NAMES = {
    "openai-images": (Operation.IMAGE_GENERATION, {"prompt": "x", "model": "m"}, {"data": []}),
    "openai-image-edits": (Operation.IMAGE_EDIT, {"prompt": "x", "model": "m"}, {"data": []}),
    "openai-speech": (Operation.SPEECH, {"input": "x", "model": "m"}, None),
    "openai-moderations": (Operation.MODERATION, {"input": "x", "model": "m"}, {"results": []}),
    "rerank": (Operation.RERANK, {"query": "x", "documents": [], "model": "m"}, {"results": []}),
    "openai-image-variations": (Operation.IMAGE_VARIATION, None, {"data": []}),
    "openai-transcriptions": (Operation.TRANSCRIPTION, None, {"text": ""}),
    "openai-translations": (Operation.TRANSLATION, None, {"text": ""}),
}


def carried(name: str) -> CarriedFormat:
    wire_format = get_format(name)
    assert isinstance(wire_format, CarriedFormat)
    return wire_format


def form(**fields: str) -> Form:
    body = encode_form(fields, [("file", "a", b"x", "audio/mpeg")], "b")
    scanner = FormScanner(b"b", FORM_FIELDS)
    scanner.feed(body)
    return Form(HeldUpload(body, "multipart/form-data; boundary=b"), b"b", scanner.fields)


@pytest.mark.parametrize("name", [name for name, (_, request, _) in NAMES.items() if request])
def test_a_json_request(name):
    operation, request, _ = NAMES[name]
    read = read_request(carried(name), json.dumps({**request, "stream": True}).encode())
    assert (read.operation, read.model, read.stream, read.format) == (operation, "m", True, name)
    for field in carried(name).needs:
        with pytest.raises(InvalidRequestError, match=field):
            carried(name).peek(json.dumps({key: value for key, value in request.items() if key != field}).encode())


@pytest.mark.parametrize("name", [name for name in NAMES if "multipart/form-data" in carried(name).takes])
def test_a_form(name):
    request = read_form_request(carried(name), form(model="m", stream="true"), router="main", headers={"x": "y"})
    assert (request.model, request.stream, request.router, request.body) == ("m", True, "main", b"")
    assert request.headers == {}
    assert not read_form_request(carried(name), form(model="m", stream="false")).stream


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_answer_that_is_none(name):
    for body in (b"<html>", b"[]", b"{}"):
        with pytest.raises(ProviderProtocolError):
            carried(name).observe_answer("application/json", body)
    with pytest.raises(ProviderProtocolError, match="text/html"):
        carried(name).observe_answer("text/html", b"<html>")


@pytest.mark.parametrize("name", [name for name, (_, _, answer) in NAMES.items() if answer])
def test_an_answer(name):
    body = json.dumps({**(NAMES[name][2] or {}), "model": "said", "id": "1"}).encode()
    outcome = carried(name).observe_answer("application/json", body)
    assert (outcome.model, outcome.response_id, outcome.complete) == ("said", "1", True)
    failed = carried(name).observe_answer("application/json", b'{"error": {"message": "away"}}')
    assert failed.error is not None


def test_a_model_of_its_own_is_not_written_into_a_request():
    wire_format = carried("openai-moderations")
    body = b'{"input": "x"}'
    assert wire_format.peek(body).model == "omni-moderation-latest"
    assert wire_format.patch_request(body, {"model": "omni-moderation-latest"}) is body
    assert json.loads(wire_format.patch_request(body, {"model": "other"}))["model"] == "other"
    variations = carried("openai-image-variations")
    upload = form()
    assert variations.edit_upload(upload, {"model": "dall-e-2"}) is upload
    assert variations.edit_upload(upload, {}) is upload
    edited = variations.edit_upload(upload, {"model": "other"})
    assert isinstance(edited, Form)
    assert edited.text("model") == "other"


def test_what_cannot_be_changed_in_a_form_is_refused():
    with pytest.raises(InvalidRequestError, match="user cannot be changed"):
        carried("openai-transcriptions").edit_upload(form(model="m"), {"user": "x"})


@pytest.mark.parametrize("model", [None, "", 7])
def test_a_model_is_needed_where_the_operation_has_none(model):
    with pytest.raises(InvalidRequestError, match="model must be"):
        carried("openai-speech").peek(json.dumps({"input": "x", "model": model}).encode())


def test_stream_is_true_or_false():
    with pytest.raises(InvalidRequestError, match="stream must be"):
        carried("openai-images").peek(b'{"prompt": "x", "stream": "yes"}')


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({}, None),
        ({"usage": {"type": "duration", "seconds": 2.5}}, Usage(audio_seconds=2.5)),
        (
            {"usage": {"input_tokens": 4, "output_tokens": 2, "input_token_details": {"audio_tokens": 3}}},
            Usage(input_tokens=4, output_tokens=2, audio_input=3),
        ),
        (
            {"usage": {"prompt_tokens": 4, "completion_tokens": 2, "prompt_audio_seconds": 9}},
            Usage(input_tokens=4, output_tokens=2, audio_seconds=9),
        ),
        ({"usage": {"total_tokens": 4}}, Usage(input_tokens=4)),
        ({"meta": {"billed_units": {"search_units": 1.0}}}, Usage(search_units=1)),
        ({"meta": {"tokens": {"input_tokens": 5, "output_tokens": 0}}}, Usage(input_tokens=5, output_tokens=0)),
        ({"data": [{}, {}]}, Usage(images=2)),
        ({"usage": {"input_tokens": -1, "output_tokens": True, "seconds": "x"}, "meta": []}, None),
    ],
)
def test_usage_whatever_it_is_called(answer, usage):
    assert usage_of(answer) == usage
