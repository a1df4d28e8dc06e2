from __future__ import annotations

import json

import pytest

from formats.cohere_chat.recorded import USAGE
from llmgate.formats import get_format
from llmgate.formats.cohere_chat.responses import (
    decode_finish,
    decode_response,
    encode_finish,
    encode_response,
    is_answer,
    observe_response,
)
from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    FinishReason,
    Message,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Unknown,
    Usage,
)

ANSWER = {
    "id": "c14c80c3",
    "finish_reason": "TOOL_CALL",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}],
        "tool_plan": "I will look.",
        "tool_calls": [{"id": "f_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        "citations": [{"start": 0, "end": 2, "text": "Hi", "sources": []}],
    },
    "usage": USAGE,
    "logprobs": [{"token_ids": [1]}],
}


def test_an_answer_and_back():
    body = json.dumps(ANSWER).encode()
    answer = decode_response(body)
    assert (answer.id, answer.text, answer.reasoning) == ("c14c80c3", "HiI will look.", "Hm")
    assert answer.tool_calls == (ToolCall("f_1", "f", '{"a":1}'),)
    assert (answer.finish_reason, answer.usage) == (FinishReason.TOOL_CALLS, Usage(231, 41))
    assert json.loads(encode_response(answer)) == ANSWER
    outcome = observe_response(body)
    assert (outcome.response_id, outcome.usage, outcome.content) == ("c14c80c3", Usage(231, 41), True)


def test_clients_of_chat_get_all_of_it():
    value = json.loads(get_format("openai-chat").encode_response(decode_response(json.dumps(ANSWER).encode())))
    message = value["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("HiI will look.", "Hm")
    assert value["choices"][0]["finish_reason"] == "tool_calls"
    assert value["usage"] == {"prompt_tokens": 231, "completion_tokens": 41, "total_tokens": 272}


def test_answers_of_other_formats():
    parts = (Text("a"), Text(""), Reasoning("hm", "sig"), Refusal("no"), Unknown("x", {}))
    choice = ChatChoice(0, Message(Role.ASSISTANT, parts), FinishReason.STOP)
    answer = ChatResponse("i", "m", (choice,), Usage(1, 2), extra={"x": 1}, extra_format="openai-chat")
    counts = {"input_tokens": 1, "output_tokens": 2}
    assert json.loads(encode_response(answer)) == {
        "id": "i",
        "finish_reason": "COMPLETE",
        "message": {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "a"},
                {"type": "text", "text": "no"},
            ],
        },
        "usage": {"billed_units": counts, "tokens": counts},
    }
    assert json.loads(encode_response(ChatResponse("i", "m", ())))["message"] == {"role": "assistant"}


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("COMPLETE", FinishReason.STOP),
        ("STOP_SEQUENCE", FinishReason.STOP_SEQUENCE),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("ERROR_LIMIT", FinishReason.LENGTH),
        ("TOOL_CALL", FinishReason.TOOL_CALLS),
        ("ERROR_TOXIC", FinishReason.CONTENT_FILTER),
        ("ERROR", FinishReason.ERROR),
        ("TIMEOUT", FinishReason.ERROR),
        ("NEW", FinishReason.STOP),
        ("", None),
        (None, None),
    ],
)
def test_why_it_ended(word, reason):
    assert decode_finish(word) is reason


def test_calls_have_the_last_word():
    assert encode_finish(FinishReason.STOP, calls=True) == "TOOL_CALL"
    assert encode_finish(FinishReason.LENGTH, calls=True) == "MAX_TOKENS"
    assert encode_finish(FinishReason.TOOL_CALLS, calls=False) == "COMPLETE"
    assert encode_finish(None, calls=False) == "COMPLETE"


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_an_answer_that_failed_is_an_error(reason):
    outcome = observe_response(json.dumps({**ANSWER, "finish_reason": reason}).encode())
    assert (outcome.error.status, outcome.complete) == (500 if reason == "ERROR" else 504, False)


def test_an_error_inside_a_success():
    assert observe_response(b'{"message":"broke"}').error.message == "broke"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":3}', b"<html>"])
def test_what_is_no_answer(body):
    for read in (observe_response, decode_response):
        with pytest.raises(ProviderProtocolError):
            read(body)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": []}, False),
        ({"content": [{"text": ""}]}, False),
        ({"content": [{"thinking": "a"}]}, True),
        ({"tool_plan": "a"}, True),
        (3, False),
        ({"content": "a"}, True),
    ],
)
def test_what_is_an_answer(message, said):
    assert is_answer(message) is said
