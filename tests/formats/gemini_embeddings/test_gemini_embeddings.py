from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format, read_request
from llmgate.spec import InvalidRequestError, ModelNotFoundError, Operation, ProviderProtocolError, Usage

ONE, SEVERAL = get_format("gemini-embed-content"), get_format("gemini-batch-embed-contents")
CONTENT = {"parts": [{"text": "a"}]}
SINGLE = json.dumps({"model": "models/a", "content": CONTENT, "x": 1}).encode()
BATCH = json.dumps({"requests": [{"model": "models/a", "content": CONTENT}, {"content": CONTENT}]}).encode()


@pytest.mark.parametrize(("wire_format", "body"), [(ONE, SINGLE), (SEVERAL, BATCH)])
def test_the_model_stands_in_the_address(wire_format, body):
    request = read_request(wire_format, body, model="m")
    assert (request.model, request.operation) == ("m", Operation.EMBEDDINGS)
    assert wire_format.address("/models/{model}:x", model="m", stream=False) == "/models/m:x"
    assert wire_format.patch_request(body, {}) is body
    with pytest.raises(InvalidRequestError):
        wire_format.peek(b"{}")
    with pytest.raises(InvalidRequestError, match="only to providers"):
        wire_format.decode_request(body)


def test_names_inside_are_those_of_the_address():
    assert json.loads(ONE.patch_request(SINGLE, {"model": "b"}))["model"] == "models/b"
    nameless = b'{"content": {}}'
    assert ONE.patch_request(nameless, {"model": "b"}) == nameless
    patched = json.loads(SEVERAL.patch_request(BATCH, {"model": "b"}))["requests"]
    assert [one["model"] for one in patched] == ["models/b", "models/b"]
    assert json.loads(SEVERAL.patch_request(b'{"requests": {}}', {"model": "b"})) == {
        "requests": [{"model": "models/b"}]
    }


def test_answers_are_vectors():
    outcome = ONE.observe_response(b'{"embedding":{"values":[1]},"usageMetadata":{"promptTokenCount":2}}')
    assert (outcome.content, outcome.usage) == (True, Usage(2))
    assert not SEVERAL.observe_response(b'{"embeddings":[]}').content
    for wire_format in (ONE, SEVERAL):
        with pytest.raises(ProviderProtocolError):
            wire_format.observe_response(b'{"data":[]}')


def test_errors_are_googles():
    error = ModelNotFoundError("m")
    assert ONE.error_status(error) == 404
    assert ONE.decode_error(404, {}, ONE.encode_error(error)).type == "NOT_FOUND"
