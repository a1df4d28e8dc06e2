"""The wire format of embeddings: what is read of a request, what is seen in an answer, the vectors."""

from __future__ import annotations

import base64
import json
import struct

import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.openai_embeddings import vectors_in
from llmgate.spec import InvalidRequestError, Operation

FORMAT = get_format("openai-embeddings")
ANSWER = {
    "object": "list",
    "model": "text-embedding-3-small",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}


@pytest.mark.parametrize("given", ["text", ["a", "b"], [1, 2, 3], [[1, 2], [3]], ""])
def test_every_input_that_openai_documents_is_taken(given):
    body = json.dumps({"model": "e", "input": given, "dimensions": 8, "encoding_format": "base64"}).encode()
    request = read_request(FORMAT, body, router="main", headers={"authorization": "Bearer x"})
    assert (request.operation, request.format, request.model) == (Operation.EMBEDDINGS, "openai-embeddings", "e")
    assert (request.stream, request.router, request.body, request.headers) == (False, "main", body, {})


def test_the_callers_end_user_is_read():
    assert FORMAT.peek(b'{"model":"e","input":"x","user":"u-1"}').user == "u-1"
    assert FORMAT.peek(b'{"model":"e","input":"x","user":5}').user is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x"}', "model"),
        (b'{"model":"","input":"x"}', "model"),
        (b'{"model":null,"input":"x"}', "model"),
        (b'{"model":["e"],"input":"x"}', "model"),
        (b'{"model":"e"}', "input"),
        (b'{"model":"e","input":null}', "input"),
        (b'{"model":"e","input":{"text":"x"}}', "input"),
    ],
)
def test_a_wrong_field_is_named(body, param):
    with pytest.raises(InvalidRequestError) as refused:
        FORMAT.peek(body)
    assert refused.value.param == param


def test_usage_and_model_are_seen_in_an_answer():
    outcome = FORMAT.observe_response(json.dumps(ANSWER).encode())
    assert outcome.model == "text-embedding-3-small"
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (3, None)
    assert (outcome.content, outcome.complete, outcome.finish_reason) == (True, True, None)


def test_an_answer_without_usage_has_unknown_usage_not_none_at_all():
    outcome = FORMAT.observe_response(b'{"data":[]}')
    assert (outcome.usage, outcome.model, outcome.content, outcome.complete) == (None, None, False, True)


def test_vectors_come_in_the_order_of_the_inputs_whatever_their_encoding():
    packed = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()
    body = json.dumps({"data": [{"index": 1, "embedding": packed}, {"index": 0, "embedding": [1, 2]}]}).encode()
    assert [list(vector) for vector in vectors_in(body)] == [[1, 2], [0.5, -0.25]]


@pytest.mark.parametrize("value", ["not base64!", "YWJj", None, 5])
def test_a_vector_that_is_none_is_a_value_error(value):
    with pytest.raises(ValueError, match="32-bit floats"):
        vectors_in(json.dumps({"data": [{"embedding": value}]}).encode())
