from __future__ import annotations

import json

import pytest
from google.genai import types

from llmgate.formats import get_format
from llmgate.formats.gemini_generate_content.responses import (
    candidates_in,
    decode_response,
    encode_response,
    is_answer,
    observe_response,
    parts_in,
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

from .recorded import CALL, HEAD, SECOND, USAGE

CHAT, MESSAGES = get_format("openai-chat"), get_format("anthropic-messages")


def answer(*parts, finish="STOP", **more):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "finishReason": finish, "index": 0}
    return json.dumps({"candidates": [{**candidate, **more}], "usageMetadata": USAGE, **HEAD}).encode()


def openai(body):
    response = decode_response(body)
    return json.loads(CHAT.encode_response(response))["choices"][0]


def test_text_thoughts_and_calls():
    response = decode_response(answer({"text": "hm", "thought": True}, {"text": "Hello"}, CALL, SECOND))
    assert (response.text, response.reasoning) == ("Hello", "hm")
    assert [call.arguments for call in response.tool_calls] == ['{"city":"Oslo"}', '{"city":"Rome"}']
    assert response.finish_reason is FinishReason.TOOL_CALLS
    assert response.usage == Usage(9, 12, reasoning=7)
    assert (response.id, response.model) == ("r-1", "gemini-3-flash-preview")


def test_calls_without_ids_get_ids_that_no_other_answer_gives():
    first, again = decode_response(answer(SECOND, SECOND)), decode_response(answer(SECOND, SECOND))
    other = decode_response(answer(SECOND).replace(b"r-1", b"r-2"))
    ids = [call.id for call in first.tool_calls]
    assert ids == [call.id for call in again.tool_calls]
    assert len({*ids, other.tool_calls[0].id}) == 3


def test_openais_clients_get_the_signature_with_the_call():
    choice = openai(answer({"text": "a", "thoughtSignature": "c2ln"}, CALL))
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    (call,) = choice["message"]["tool_calls"]
    assert call["extra_content"] == {"google": {"thought_signature": CALL["thoughtSignature"]}}


def test_anthropics_clients_get_the_signature_in_the_id():
    (block,) = json.loads(MESSAGES.encode_response(decode_response(answer(CALL))))["content"]
    assert block["id"].startswith("fc1__thought__")
    asked = {"type": "tool_result", "tool_use_id": block["id"], "content": "rain"}
    turns = [{"role": "assistant", "content": [block]}, {"role": "user", "content": [asked]}]
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": turns}).encode()
    request = MESSAGES.decode_request(body)
    back = json.loads(get_format("gemini-generate-content").encode_request(request))["contents"]
    assert back[1]["parts"] == [CALL]
    assert back[2]["parts"][0]["functionResponse"]["id"] == "fc1"
    chat = json.loads(CHAT.encode_request(request))["messages"]
    assert [chat[0]["tool_calls"][0]["id"], chat[1]["tool_call_id"]] == ["fc1", "fc1"]


@pytest.mark.parametrize(
    ("finish", "said"),
    [("SAFETY", "content_filter"), ("MALFORMED_FUNCTION_CALL", "stop"), ("MAX_TOKENS", "length"), ("OTHER", "stop")],
)
def test_every_end_has_a_word_for_others_and_keeps_its_own(finish, said):
    body = answer(finish=finish)
    choice = openai(body)
    assert choice["finish_reason"] == said
    assert choice.get("native_finish_reason", finish) == finish
    assert json.loads(encode_response(decode_response(body)))["candidates"][0]["finishReason"] == finish


def test_a_blocked_prompt_is_an_answer():
    body = b'{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":4}}'
    choice = openai(body)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("content_filter", None)
    assert observe_response(body).finish_reason is FinishReason.CONTENT_FILTER
    assert "candidates" not in json.loads(encode_response(decode_response(body)))


def test_a_candidate_without_content_is_an_answer():
    body = b'{"candidates":[{"finishReason":"MAX_TOKENS"}]}'
    assert decode_response(body).choices[0] == ChatChoice(0, Message(Role.ASSISTANT, ()), FinishReason.LENGTH)
    assert not observe_response(body).content


def test_pictures_and_probabilities_reach_openais_clients():
    logprobs = {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    choice = openai(answer(picture, logprobsResult=logprobs))
    assert choice["message"]["images"][0]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert choice["logprobs"]["content"][0]["logprob"] == -1.0


def test_answers_of_others_are_written_for_googles_clients():
    parts = (Reasoning("hm", "sig"), Text(""), Text("a"), ToolCall("call_1", "f", ""), Unknown("x", 1), Refusal("no"))
    choice = ChatChoice(0, Message(Role.ASSISTANT, parts), FinishReason.STOP, extra={"logprobs": None})
    response = ChatResponse("id", "gpt", (choice,), Usage(1, 2), extra={"x": 1}, extra_format="openai-chat")
    value = json.loads(encode_response(response))
    types.GenerateContentResponse.model_validate(value)
    assert value.keys() == {"candidates", "usageMetadata", "modelVersion", "responseId"}
    (candidate,) = value["candidates"]
    assert candidate["finishReason"] == "SAFETY"
    assert [sorted(part) for part in candidate["content"]["parts"]] == [
        ["text", "thought", "thoughtSignature"],
        ["text"],
        ["functionCall"],
        ["text"],
    ]


def test_an_error_inside_a_success_is_seen():
    assert observe_response(b'{"error":{"code":500,"message":"m"}}').error.status == 500
    assert observe_response(b'[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]').error.status == 429


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{}", b'{"candidates":[]}', b'{"candidates":7}', b"<html>"])
def test_what_is_no_answer_is_refused(body):
    for read in (decode_response, observe_response):
        with pytest.raises(ProviderProtocolError):
            read(body)


def test_what_counts_as_content():
    assert candidates_in({"candidates": [1, {}]}) == [{}]
    assert parts_in({"content": {"parts": [1, {"text": "a"}]}}) == [{"text": "a"}]
    assert is_answer({"text": "a"})
    assert is_answer({"functionCall": {}})
    assert not is_answer({"text": "", "thoughtSignature": "s"})
