from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.anthropic_count_tokens import estimated
from llmgate.spec import InvalidRequestError, ModelNotFoundError, Operation, ProviderProtocolError

FORMAT = get_format("anthropic-count-tokens")
BODY = b'{"model":"m","messages":[{"role":"user","content":"hello there"}], "thinking": {"type":"adaptive"}}'


def test_a_request_is_one_for_messages_without_its_limits():
    head = FORMAT.peek(BODY)
    assert (head.model, head.stream) == ("m", False)
    request = read_request(FORMAT, BODY, headers={"anthropic-beta": "x", "anthropic-workspace-id": "y", "cookie": "z"})
    assert request.operation is Operation.COUNT_TOKENS
    assert request.headers == {"anthropic-beta": "x"}
    assert request.chat.messages[0].text == "hello there"
    assert FORMAT.patch_request(BODY, {"model": "n"}) == BODY.replace(b'"m"', b'"n"')
    with pytest.raises(InvalidRequestError):
        FORMAT.peek(b"{}")


def test_an_answer_is_a_count_and_no_usage():
    outcome = FORMAT.observe_response(b'{"input_tokens":17}')
    assert (outcome.usage, outcome.complete) == (None, True)
    for body in (b"{}", b'{"input_tokens":true}', b"[]"):
        with pytest.raises(ProviderProtocolError):
            FORMAT.observe_response(body)
    failed = FORMAT.observe_response(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}')
    assert failed.error.message == "x"


def test_an_estimate_is_an_answer():
    response = estimated(read_request(FORMAT, BODY))
    assert response.format == FORMAT.name
    assert 5 <= json.loads(response.body)["input_tokens"] <= 12


def test_errors_are_anthropics():
    value = json.loads(FORMAT.encode_error(ModelNotFoundError("x")))
    assert value["error"]["type"] == "not_found_error"
    assert FORMAT.decode_error(529, {}, b'{"error":{"type":"overloaded_error","message":"x"}}').status == 529
    assert FORMAT.error_status(ModelNotFoundError("x")) == 404
