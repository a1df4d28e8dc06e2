from __future__ import annotations

import json

import pytest

from llmgate.formats.ollama_chat.errors import decode_error, encode_error, error_in
from llmgate.spec import InvalidRequestError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":"model \'x\' not found"}', "model 'x' not found"),
        (b'{"error":"unauthorized","signin_url":"https://x"}', "unauthorized"),
        (b'{"error":{"message":"broke","type":"api_error"}}', "broke"),
    ],
)
def test_bodies_of_the_server_and_of_its_copies(body, message):
    assert decode_error({}, body).message == message


@pytest.mark.parametrize("body", [b"", b"404 page not found", b"[]", b"{}"])
def test_what_is_no_error_body(body):
    assert decode_error({}, body) is None


def test_an_error_inside_a_success_is_shown_in_this_format():
    detail = error_in({"error": {"message": "broke"}, "more": 1})
    assert json.loads(detail.body) == {"error": "broke", "more": 1}
    assert error_in({"message": {"content": "a"}, "done": True}) is None


def test_the_gateways_own():
    assert encode_error(InvalidRequestError("no \ud800")) == b'{"error":"no ?"}'
