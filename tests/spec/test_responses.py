"""Answers are decoded when somebody asks; a chunk knows whether it is content."""

from __future__ import annotations

import pytest

from llmgate.spec import (
    ChatChoice,
    ChatResponse,
    ChoiceDelta,
    FinishReason,
    GatewayChunk,
    GatewayResponse,
    Message,
    Outcome,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
)

CALL = ToolCall("1", "weather", "{}")
MESSAGE = Message(Role.ASSISTANT, [Reasoning("hm"), Text("yes"), CALL])


def test_a_response_speaks_for_its_first_answer():
    response = ChatResponse("1", "m", [ChatChoice(0, MESSAGE, FinishReason.STOP)])
    assert (response.text, response.reasoning, response.tool_calls) == ("yes", "hm", (CALL,))
    assert response.finish_reason is FinishReason.STOP


def test_a_response_without_answers_is_empty():
    response = ChatResponse("1", "m", [])
    assert (response.text, response.reasoning, response.tool_calls, response.finish_reason) == ("", "", (), None)


def test_a_body_is_decoded_once():
    decoded: list[bytes] = []

    def decode(body: bytes) -> ChatResponse:
        decoded.append(body)
        return ChatResponse("1", "m", [])

    response = GatewayResponse("openai-chat", b"body", Outcome(), decode=decode)
    assert response.chat is response.chat
    assert decoded == [b"body"]


@pytest.mark.parametrize(
    ("choice", "content"),
    [
        (ChoiceDelta(role="assistant"), False),
        (ChoiceDelta(parts=[Text("")]), False),
        (ChoiceDelta(finish_reason=FinishReason.STOP), False),
        (ChoiceDelta(parts=[Text("a")]), True),
        (ChoiceDelta(parts=[Reasoning("a")]), True),
        (ChoiceDelta(refusal="no"), True),
        (ChoiceDelta(tool_calls=[ToolCallDelta(0, name="weather")]), True),
    ],
)
def test_content_is_text_reasoning_refusal_or_a_tool_call(choice, content):
    assert GatewayChunk([choice]).has_content is content


def test_the_text_of_a_chunk_is_that_of_the_first_answer():
    chunk = GatewayChunk([ChoiceDelta(0, parts=[Text("a"), Reasoning("b")]), ChoiceDelta(1, parts=[Text("c")])])
    assert chunk.text == "a"
