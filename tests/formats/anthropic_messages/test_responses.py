from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.anthropic_messages.responses import decode_stop, encode_stop
from llmgate.spec import FinishReason, ProviderProtocolError

MESSAGES, CHAT = get_format("anthropic-messages"), get_format("openai-chat")
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln+/=="},
        {"type": "text", "text": "Hel", "citations": None},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": "lo"},
        {"type": "tool_use", "id": "t", "name": "now", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5, "service_tier": "standard"},
    "container": {"id": "c"},
}


def data(**changes) -> bytes:
    return json.dumps({**ANSWER, **changes}).encode()


def test_an_answer_comes_back_as_it_was():
    assert json.loads(MESSAGES.encode_response(MESSAGES.decode_response(data()))) == ANSWER


def test_an_answer_for_clients_of_chat():
    value = json.loads(CHAT.encode_response(MESSAGES.decode_response(data())))
    (choice,) = value["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "Hello"
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["thinking_blocks"] == [ANSWER["content"][0]]
    assert choice["message"]["tool_calls"] == [
        {"id": "t", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    ]
    assert value["usage"]["prompt_tokens"] == 7
    assert "container" not in value


def test_an_answer_of_chat_for_clients_of_messages():
    message = {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"b": 1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        ],
    }
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    body = {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    value = json.loads(MESSAGES.encode_response(CHAT.decode_response(json.dumps({**body, "usage": usage}).encode())))
    assert value == {
        "id": "c1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"b": 1}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 2},
    }


@pytest.mark.parametrize(
    ("message", "finish", "content", "stop"),
    [
        ({"content": ""}, "stop", [], "end_turn"),
        ({"content": None, "refusal": "no"}, "stop", [{"type": "text", "text": "no"}], "refusal"),
        ({"content": "a"}, "length", [{"type": "text", "text": "a"}], "max_tokens"),
        ({"content": "a"}, None, [{"type": "text", "text": "a"}], "end_turn"),
        ({"content": "a"}, "content_filter", [{"type": "text", "text": "a"}], "refusal"),
    ],
)
def test_how_answers_of_chat_end(message, finish, content, stop):
    body = {"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": finish}]}
    value = json.loads(MESSAGES.encode_response(CHAT.decode_response(json.dumps(body).encode())))
    assert (value["content"], value["stop_reason"]) == (content, stop)
    assert value["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_no_choice_is_an_empty_answer():
    value = json.loads(MESSAGES.encode_response(CHAT.decode_response(b'{"id":"c","choices":[]}')))
    assert (value["content"], value["stop_reason"]) == ([], "end_turn")


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP_SEQUENCE),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("future", FinishReason.STOP),
        ("", None),
        (None, None),
    ],
)
def test_stop_reasons_are_read_and_kept(stop, finish):
    assert decode_stop(stop) is finish
    if stop:
        written = json.loads(MESSAGES.encode_response(MESSAGES.decode_response(data(stop_reason=stop))))
        assert written["stop_reason"] == stop


def test_a_call_of_a_refused_answer_is_a_call():
    assert encode_stop(FinishReason.CONTENT_FILTER, calls=True, refused=True) == "tool_use"


def test_observes_what_a_relay_must_know():
    outcome = MESSAGES.observe_response(data())
    assert (outcome.response_id, outcome.model, outcome.content, outcome.complete) == ("msg_1", "claude-x", True, True)
    assert outcome.usage.input_tokens == 7
    failed = MESSAGES.observe_response(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}')
    assert (failed.error.message, failed.error.status) == ("x", 529)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"{}", b'{"content":3}', b'{"content":["x"]}'])
def test_what_is_no_answer(body):
    for read in (MESSAGES.decode_response, MESSAGES.observe_response):
        with pytest.raises(ProviderProtocolError):
            read(body)
