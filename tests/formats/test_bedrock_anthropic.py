"""Anthropic Messages in Amazon Bedrock's envelope: the model in the address, events in chunks, errors of AWS's."""

from __future__ import annotations

import base64
import json

import attrs
import pytest
from botocore.exceptions import EventStreamError

from llmgate.codecs.eventstream import encode_message
from llmgate.formats import get_format, read_request
from llmgate.formats.bedrock_anthropic.requests import VERSION
from llmgate.formats.bedrock_anthropic.stream import InvokeStreamEncoder, InvokeStreamReader
from llmgate.spec import ErrorDetail, GatewayChunk, InvalidRequestError, ProviderProtocolError, RateLimitError

from .bedrock_converse.aws_model import parse_stream
from .bedrock_converse.recorded import event, exception

FORMAT = get_format("bedrock-anthropic")
MESSAGES = get_format("anthropic-messages")
BODY = {
    "anthropic_version": VERSION,
    "max_tokens": 100,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [{"role": "user", "content": "hi"}],
    "x_new": [1],
}
EVENTS = [
    {
        "type": "message_start",
        "message": {"id": "msg_bdrk_1", "model": "claude", "usage": {"input_tokens": 3, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße\n"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 9}},
]


def chunk(value: object) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode()})


STREAM = b"".join(map(chunk, EVENTS))


def test_a_body_of_another_makers_model_is_refused_with_what_to_do() -> None:
    body = json.dumps({"inputText": "x", "messages": []}).encode()
    with pytest.raises(InvalidRequestError, match="call Converse, or the direct relay"):
        FORMAT.peek(body)


def test_a_request_is_one_of_anthropics_with_the_model_of_the_address() -> None:
    request = read_request(FORMAT, json.dumps(BODY).encode(), model="m", stream=True)
    chat = request.chat
    assert (chat.model, chat.stream, chat.max_output_tokens) == ("m", True, 100)
    assert chat.extra == {"thinking": BODY["thinking"], "x_new": [1]}
    assert json.loads(FORMAT.encode_request(chat)) == BODY
    plain = json.loads(MESSAGES.encode_request(chat))
    assert plain == {
        "model": "m",
        "stream": True,
        **{name: one for name, one in BODY.items() if name != "anthropic_version"},
    }


def test_what_anthropic_takes_in_a_header_is_not_sent_in_the_body() -> None:
    body = json.dumps({**BODY, "anthropic_beta": ["a"]}).encode()
    chat = attrs.evolve(FORMAT.decode_request(body), model="m")
    assert [(one.param, one.kind) for one in MESSAGES.unsupported(chat)] == [("anthropic_beta", "report")]
    assert "anthropic_beta" not in json.loads(MESSAGES.encode_request(chat))


def test_the_address_of_a_stream_is_another() -> None:
    path = "/model/{model}/invoke"
    assert FORMAT.address(path, model="a:0", stream=False) == "/model/a%3A0/invoke"
    assert FORMAT.address(path, model="a:0", stream=True) == "/model/a%3A0/invoke-with-response-stream"


def test_an_edit_changes_its_place_and_no_other_byte() -> None:
    body = json.dumps(BODY, indent=1).encode()
    assert FORMAT.patch_request(body, {"model": "x", "stream": True, "include_usage": True}) is body
    assert FORMAT.patch_request(body, {"max_output_tokens": 7}) == body.replace(
        b'"max_tokens": 100', b'"max_tokens": 7'
    )
    edited = json.loads(FORMAT.patch_request(body, {"temperature": 0.5}))
    assert edited == {**BODY, "temperature": 0.5}


@pytest.mark.parametrize("body", [b"[]", b'{"anthropic_version": "v", "messages": 1}', b"{"])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        FORMAT.peek(body)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_is_relayed_and_decoded_whatever_its_pieces(size: int) -> None:
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    relay = InvokeStreamReader()
    assert b"".join(map(relay.relay, pieces)) + relay.terminal == STREAM
    reader = InvokeStreamReader()
    chunks = [one for piece in pieces for one in reader.decode(piece)]
    assert "".join(one.text for one in chunks) == "Grüße\n"
    assert reader.outcome == relay.outcome
    assert reader.outcome.usage is not None
    assert (reader.outcome.usage.input_tokens, reader.outcome.usage.output_tokens) == (3, 9)
    assert reader.outcome.response_id == "msg_bdrk_1"
    assert chunks[-1].final
    reader.finish()


def test_a_stream_written_anew_says_the_same() -> None:
    encoder = InvokeStreamEncoder()
    written = b"".join(encoder.encode(one) for one in InvokeStreamReader().decode(STREAM))
    events = [json.loads(one["chunk"]["bytes"]) for one in parse_stream(written, "InvokeModelWithResponseStream")]
    assert [one["type"] for one in events] == [one["type"] for one in EVENTS]
    assert events[2]["delta"] == {"type": "text_delta", "text": "Grüße\n"}


def test_events_pass_as_they_came() -> None:
    encoder = InvokeStreamEncoder()
    assert b"".join(encoder.passed(one) + one.raw for one in InvokeStreamReader().decode(STREAM)) == STREAM


def test_errors_in_both_shapes_are_errors() -> None:
    inside = chunk({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    for data, message in ((exception("throttlingException", "slow"), "slow"), (inside, "busy")):
        reader = InvokeStreamReader()
        reader.relay(STREAM[: len(chunk(EVENTS[0]))] + data)
        assert reader.outcome.error is not None
        assert reader.outcome.error.message == message


@pytest.mark.parametrize("payload", [b"{}", b"x", b'{"bytes":"%"}', b'{"bytes":"ew=="}'])
def test_a_chunk_that_holds_no_event_breaks_the_stream(payload: bytes) -> None:
    data = encode_message({":message-type": "event", ":event-type": "chunk"}, payload)
    with pytest.raises(ProviderProtocolError):
        InvokeStreamReader().relay(data)


def test_a_stream_that_is_cut_is_incomplete() -> None:
    reader = InvokeStreamReader()
    reader.relay(STREAM[:-1])
    with pytest.raises(ProviderProtocolError, match="terminal marker"):
        reader.finish()


def test_errors_are_aws_exceptions() -> None:
    encoder = InvokeStreamEncoder()
    for written in (
        encoder.error(RateLimitError("slow")),
        encoder.encode(GatewayChunk(error=ErrorDetail("slow", status=429))),
    ):
        with pytest.raises(EventStreamError, match="slow") as raised:
            parse_stream(written, "InvokeModelWithResponseStream")
        assert raised.value.response["Error"]["Code"] == "throttlingException"
    assert json.loads(FORMAT.encode_error(RateLimitError("slow"))) == {"message": "slow"}
    assert FORMAT.error_headers(RateLimitError("slow")) == {"x-amzn-errortype": "ThrottlingException"}
    assert FORMAT.error_status(RateLimitError("slow")) == 429
    detail = FORMAT.decode_error(429, {"x-amzn-errortype": "ThrottlingException"}, b'{"message":"slow"}')
    assert detail is not None
    assert detail.message == "slow"
