from __future__ import annotations

import json

import pytest

from llmgate.formats.openai_chat.responses import (
    answer_text,
    decode_finish,
    decode_response,
    encode_response,
    finish_of,
    observe_response,
)
from llmgate.spec import (
    Blob,
    ChatChoice,
    ChatResponse,
    FinishReason,
    Message,
    ProviderProtocolError,
    Reasoning,
    Role,
    Text,
    Unknown,
    Usage,
)

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}


def with_choice(**fields: object) -> bytes:
    return json.dumps({**ANSWER, "choices": [{**ANSWER["choices"][0], **fields}]}).encode()


def said(*parts: object) -> dict[str, object]:
    answer = ChatResponse("i", "m", (ChatChoice(0, Message(Role.ASSISTANT, parts), FinishReason.STOP),))
    message: dict[str, object] = json.loads(encode_response(answer))["choices"][0]["message"]
    return message


def test_an_answer_loses_nothing():
    assert json.loads(encode_response(decode_response(json.dumps(ANSWER).encode()))) == ANSWER


def test_what_a_relay_needs_to_know():
    outcome = observe_response(json.dumps(ANSWER).encode())
    assert (outcome.response_id, outcome.model) == ("chatcmpl-1", "gpt-4o-mini-2024-07-18")
    assert outcome.usage == Usage(9, 1)
    assert outcome.finish_reason is FinishReason.STOP
    assert outcome.content
    assert outcome.complete


@pytest.mark.parametrize(
    "value", [{"error": {"message": "broke"}}, {"error": "broke"}, {"object": "error", "message": "broke"}]
)
def test_an_error_inside_an_answer_is_told(value):
    outcome = observe_response(json.dumps(value).encode())
    assert outcome.error.message == "broke"
    assert not outcome.complete


@pytest.mark.parametrize("value", [{"error": None}, {"errors": []}])
def test_no_error_is_no_error(value):
    assert observe_response(json.dumps({**ANSWER, **value}).encode()).error is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices":{}}', b'{"choices":[1]}', b"\xff", b"<html>"])
def test_what_is_no_answer(body):
    for read in (observe_response, decode_response):
        with pytest.raises(ProviderProtocolError, match="not a chat completion"):
            read(body)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("function_call", FinishReason.TOOL_CALLS),
        ("model_length", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("never heard of", FinishReason.STOP),
    ],
)
def test_words_of_other_servers(word, reason):
    assert finish_of(word) is reason
    native = {} if word == reason else {"native_finish_reason": word}
    assert decode_finish(word) == (reason, native)
    assert decode_response(with_choice(finish_reason=word)).finish_reason is reason


def test_no_finish_reason_is_none():
    assert decode_finish(None) == (None, {})
    assert decode_response(with_choice(finish_reason=None)).finish_reason is None


def test_the_finish_reason_is_that_of_the_first_answer():
    choices = [{**ANSWER["choices"][0], "index": 1, "finish_reason": "length"}, ANSWER["choices"][0]]
    assert observe_response(json.dumps({**ANSWER, "choices": choices}).encode()).finish_reason is FinishReason.STOP


def test_clients_get_one_string():
    assert said(Text("a"), Text("b", extra={"citations": []}))["content"] == "ab"
    thought = said(Reasoning("hm", extra={"field": "content"}), Text("a"))
    assert thought["content"] == "a"
    assert thought["reasoning_content"] == "hm"


def test_pictures_have_their_place_and_foreign_parts_none():
    message = said(Text("a"), Blob("image", "image/png", "aGk="), Unknown("gemini", {}))
    assert message["content"] == "a"
    assert message["images"] == [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]


def test_servers_that_leave_things_out():
    answer = decode_response(
        b'{"created": 1.5, "choices":[{"message":{"content":"x"}}],"x_groq":{"usage":{"prompt_tokens":1}}}'
    )
    assert (answer.id, answer.model, answer.created, answer.text) == ("", "", 1, "x")
    assert answer.usage == Usage(input_tokens=1)


@pytest.mark.parametrize("name", ["content", "reasoning", "reasoning_content", "refusal", "tool_calls", "audio"])
def test_content_is_anything_the_model_says(name):
    assert answer_text({name: ["x"]})
    assert not answer_text({name: None, "role": "assistant"})
