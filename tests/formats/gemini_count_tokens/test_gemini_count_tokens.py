from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.gemini_count_tokens import estimated
from llmgate.spec import AuthenticationError, InvalidRequestError, ProviderProtocolError

FORMAT = get_format("gemini-count-tokens")
CONTENTS = [{"role": "user", "parts": [{"text": "A few words of English text."}]}]
PLAIN = json.dumps({"contents": CONTENTS}).encode()
WHOLE = json.dumps({"generateContentRequest": {"model": "models/a", "contents": CONTENTS}, "x": 1}).encode()


@pytest.mark.parametrize("body", [PLAIN, WHOLE])
def test_both_shapes_are_counted(body):
    request = read_request(FORMAT, body, model="m")
    assert (request.model, request.stream) == ("m", False)
    assert request.chat.messages[0].text == "A few words of English text."
    response = estimated(request)
    assert 5 < json.loads(response.body)["totalTokens"] < 20
    assert response.outcome.usage is None, "counting is free"


def test_only_a_name_inside_is_changed():
    assert FORMAT.patch_request(PLAIN, {"model": "b"}) is PLAIN
    assert FORMAT.patch_request(WHOLE, {}) is WHOLE
    patched = json.loads(FORMAT.patch_request(WHOLE, {"model": "b"}))
    assert (patched["generateContentRequest"]["model"], patched["x"]) == ("models/b", 1)


def test_an_answer_is_a_number():
    assert FORMAT.observe_response(b'{"totalTokens": 3, "promptTokensDetails": []}').complete
    assert FORMAT.observe_response(b"{}").complete, "a count of zero is left out"
    with pytest.raises(ProviderProtocolError):
        FORMAT.observe_response(b'{"totalTokens": "many"}')


def test_other_bodies_are_refused():
    with pytest.raises(InvalidRequestError):
        FORMAT.peek(b'{"contents": "a"}')


def test_errors_are_googles():
    error = AuthenticationError("m")
    assert FORMAT.error_status(error) == 401
    assert FORMAT.decode_error(401, {}, FORMAT.encode_error(error)).type == "UNAUTHENTICATED"
