from __future__ import annotations

import json

import pytest

from formats.ollama_chat.recorded import SECONDS, TIME, call, end
from llmgate.formats import get_format
from llmgate.formats.ollama_chat.responses import (
    created_text,
    decode_done,
    decode_response,
    encode_done,
    encode_response,
    observe_response,
    seconds_in,
)
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatResponse,
    FinishReason,
    Message,
    ProviderProtocolError,
    Reasoning,
    Refusal,
    Role,
    Text,
    Unknown,
    Usage,
)


def test_an_answer_of_the_server():
    body = end(message={"content": "Hi", "thinking": "Hm", "tool_calls": [call("f", {"a": 1})]}, future=1)
    answer = decode_response(body)
    assert (answer.text, answer.reasoning, answer.model, answer.created) == ("Hi", "Hm", "llama3.2", SECONDS)
    assert (answer.finish_reason, answer.usage) == (FinishReason.TOOL_CALLS, Usage(26, 7))
    assert answer.tool_calls[0].arguments == '{"a":1}'
    assert answer.tool_calls[0].id.startswith("call_")
    assert decode_response(body) == answer
    written = json.loads(encode_response(answer))
    assert (written["future"], written["created_at"], written["total_duration"]) == (1, TIME, 9)
    assert written["done_reason"] == "stop"


def test_clients_of_chat_get_an_id_and_their_finish_reason():
    answer = decode_response(end(message={"tool_calls": [call("f", {})]}))
    value = json.loads(get_format("openai-chat").encode_response(answer))
    assert value["id"].startswith("chat-")
    assert value["choices"][0]["finish_reason"] == "tool_calls"
    assert value["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_answers_of_other_formats():
    parts = (Text("a"), Reasoning("hm", "sig"), Refusal("no"), Unknown("x", {}), Blob("image", "image/png", "QUJD"))
    choice = ChatChoice(0, Message(Role.ASSISTANT, parts), FinishReason.CONTENT_FILTER)
    answer = ChatResponse("i", "m", (choice,), Usage(1, None), created=0, extra={"x": 1}, extra_format="openai-chat")
    assert json.loads(encode_response(answer)) == {
        "model": "m",
        "created_at": "1970-01-01T00:00:00Z",
        "message": {"role": "assistant", "content": "ano", "thinking": "hm", "images": ["QUJD"]},
        "done": True,
        "done_reason": "content_filter",
        "prompt_eval_count": 1,
    }
    assert json.loads(encode_response(ChatResponse("i", "m", ())))["message"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("load", FinishReason.STOP),
        ("unload", FinishReason.STOP),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("error", FinishReason.ERROR),
        ("", None),
        (None, None),
    ],
)
def test_why_it_ended(word, reason):
    assert decode_done(word, calls=False) is reason
    if word not in ("load", "unload", "", None):
        assert encode_done(reason) == word
    assert decode_done("stop", calls=True) is FinishReason.TOOL_CALLS
    assert decode_done("length", calls=True) is FinishReason.LENGTH
    assert (encode_done(None), encode_done(FinishReason.TOOL_CALLS)) == ("stop", "stop")


def test_an_unknown_word_stays():
    assert json.loads(encode_response(decode_response(end("load"))))["done_reason"] == "load"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (TIME, SECONDS),
        ("2026-11-20T11:00:00+01:00", SECONDS),
        ("2026-11-20T11:00:00.5+01:00", SECONDS),
        ("2026-11-20T10:00:00", SECONDS),
        ("yesterday", None),
        (3, None),
        ("", None),
    ],
)
def test_times_are_read(text, seconds):
    assert seconds_in(text) == seconds


@pytest.mark.parametrize("seconds", [None, 10**30, -(10**30)])
def test_a_time_is_always_written(seconds):
    assert created_text(seconds) == "1970-01-01T00:00:00Z"
    assert created_text(SECONDS) == "2026-11-20T10:00:00Z"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":3}', b'{"message":{},"done":false}', b"<html>"])
def test_what_is_no_answer(body):
    with pytest.raises(ProviderProtocolError):
        observe_response(body)
    if body != b'{"message":{},"done":false}':
        with pytest.raises(ProviderProtocolError):
            decode_response(body)


def test_an_error_inside_a_success():
    outcome = observe_response(b'{"error":"out of memory"}')
    assert (outcome.error.message, outcome.complete) == ("out of memory", False)
