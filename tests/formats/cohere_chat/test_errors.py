from __future__ import annotations

import json

import pytest

from llmgate.formats.cohere_chat.errors import decode_error, encode_error, encode_message, error_in, failure_in
from llmgate.spec import InvalidRequestError


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message":"invalid api token"}', "invalid api token"),
        (b'{"id":"x","message":"too many tokens"}', "too many tokens"),
        (b'{"error":{"message":"broke"}}', "broke"),
        (b'{"detail":"x"}', "x"),
    ],
)
def test_bodies_of_the_vendor_and_of_copies(body, message):
    assert decode_error({}, body).message == message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}"])
def test_what_is_no_error_body(body):
    assert decode_error({}, body) is None


def test_an_answer_is_no_error_and_an_error_is_no_answer():
    assert error_in({"message": {"role": "assistant"}, "finish_reason": "COMPLETE"}) is None
    detail = error_in({"message": "broke"})
    assert (detail.message, json.loads(detail.body)) == ("broke", {"message": "broke"})


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"finish_reason": "ERROR"}, 500),
        ({"finish_reason": "TIMEOUT"}, 504),
        ({"error": "x"}, 500),
        ({"finish_reason": "COMPLETE"}, None),
        ({"finish_reason": 3}, None),
    ],
)
def test_ends_that_are_none(end, status):
    detail = failure_in(end)
    assert (None if detail is None else detail.status) == status


def test_the_gateways_own():
    assert encode_error(InvalidRequestError("no \ud800")) == b'{"message":"no ?"}'
    assert encode_message("x") == b'{"message":"x"}'
