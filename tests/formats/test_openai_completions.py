"""The wire format of legacy completions: requests, whole answers, streams cut at any byte."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.formats import get_format, read_request
from llmgate.spec import FinishReason, InvalidRequestError, Operation, ProviderProtocolError, RateLimitError

FORMAT = get_format("openai-completions")


def answer(text: str = "upon a time", **fields):
    choice = {"index": 0, "text": text, "finish_reason": "length", "logprobs": None}
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    return {"id": "cmpl-1", "object": "text_completion", "model": "d-2", "choices": [choice], "usage": usage} | fields


def sse(*values) -> bytes:
    lines = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


CHUNKS = [
    {"id": "cmpl-1", "model": "d-2", "choices": [{"index": 0, "text": " upon", "finish_reason": None}]},
    {"id": "cmpl-1", "model": "d-2", "choices": [{"index": 0, "text": " a ✨", "finish_reason": None}]},
    {"id": "cmpl-1", "model": "d-2", "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]},
]
USAGE = {"id": "cmpl-1", "model": "d-2", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 3}}


@pytest.mark.parametrize("prompt", ["Once", ["a", "b"], [1, 2], [[1], [2]]])
def test_every_prompt_that_openai_documents_is_taken(prompt):
    body = json.dumps({"model": "d", "prompt": prompt, "stream": True, "suffix": "x"}).encode()
    request = read_request(FORMAT, body)
    assert (request.operation, request.format, request.model) == (Operation.TEXT_COMPLETION, "openai-completions", "d")
    assert (request.stream, request.include_usage, request.body) == (True, False, body)


def test_usage_that_the_client_asks_for_is_noticed():
    head = FORMAT.peek(b'{"model":"d","prompt":"x","stream":true,"stream_options":{"include_usage":true},"user":"u"}')
    assert (head.include_usage, head.user) == (True, "u")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"prompt":"x"}', "model"),
        (b'{"model":"d"}', "prompt"),
        (b'{"model":"d","prompt":5}', "prompt"),
        (b'{"model":"d","prompt":"x","stream":1}', "stream"),
    ],
)
def test_a_wrong_field_is_named(body, param):
    with pytest.raises(InvalidRequestError) as refused:
        FORMAT.peek(body)
    assert refused.value.param == param


def test_edits_take_openais_names_and_leave_the_rest():
    body = b'{"model":"d",  "prompt":"x","stream_options":{"other":1},"logit_bias":{"5":1}}'
    patched = FORMAT.patch_request(
        body, {"model": "e", "max_output_tokens": 9, "stop_sequences": ["z"], "include_usage": True}
    )
    value = json.loads(patched)
    assert (value["model"], value["max_tokens"], value["stop"]) == ("e", 9, ["z"])
    assert value["stream_options"] == {"other": 1, "include_usage": True}
    assert b',  "prompt":"x",' in patched
    assert b'"logit_bias":{"5":1}' in patched


def test_usage_and_finish_reason_are_seen_in_an_answer():
    outcome = FORMAT.observe_response(json.dumps(answer()).encode())
    assert (outcome.response_id, outcome.model, outcome.finish_reason) == ("cmpl-1", "d-2", FinishReason.LENGTH)
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (2, 3)
    assert (outcome.content, outcome.complete) == (True, True)


def test_the_first_choice_gives_the_finish_reason():
    choices = [{"index": 1, "text": "b", "finish_reason": "length"}, {"index": 0, "text": "", "finish_reason": "stop"}]
    outcome = FORMAT.observe_response(json.dumps(answer(choices=choices)).encode())
    assert outcome.finish_reason is FinishReason.STOP


@settings(max_examples=200, deadline=None)
@given(cuts=st.lists(st.integers(0, 400), max_size=6))
def test_a_stream_is_relayed_byte_for_byte_wherever_it_is_cut(cuts):
    data = sse(*CHUNKS, USAGE)
    whole = data + sse("[DONE]")
    reader = FORMAT.stream_reader()
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    relayed = b"".join(reader.relay(whole[a:b]) for a, b in pairwise(places))
    reader.finish()
    assert relayed == data
    assert reader.terminal == sse("[DONE]")
    outcome = reader.outcome
    assert (outcome.finish_reason, outcome.content, outcome.complete) == (FinishReason.STOP, True, True)
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 3


def test_usage_that_the_gateway_asked_for_is_withheld():
    reader = FORMAT.stream_reader(withhold_usage=True)
    assert reader.relay(sse(*CHUNKS, USAGE, "[DONE]")) == sse(*CHUNKS)
    assert reader.outcome.usage is not None


def test_text_is_decoded_as_text():
    chunks = FORMAT.stream_reader().decode(sse(*CHUNKS, "[DONE]"))
    assert "".join(chunk.text for chunk in chunks) == " upon a ✨"
    assert [chunk.final for chunk in chunks] == [False, False, False, True]


def test_a_stream_without_its_terminal_marker_is_not_finished():
    reader = FORMAT.stream_reader()
    reader.relay(sse(*CHUNKS))
    with pytest.raises(ProviderProtocolError):
        reader.finish()


def test_an_error_inside_a_stream_is_seen():
    reader = FORMAT.stream_reader()
    reader.relay(sse(CHUNKS[0], {"error": {"message": "broken", "code": "boom"}}))
    assert reader.outcome.error is not None
    assert reader.outcome.error.message == "broken"


def test_a_failure_in_the_middle_is_an_error_event_without_the_terminal_marker():
    event = FORMAT.stream_encoder().error(RateLimitError("slow down"))
    assert json.loads(event.removeprefix(b"data: "))["error"]["message"] == "slow down"
    assert b"[DONE]" not in event
