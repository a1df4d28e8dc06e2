"""What a client's format has no words for in an answer is named, whichever formats they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.answer_losses import beside, kind_of, unsaid_in
from llmgate.spec import Blob, ChatChoice, ChatResponse, Citation, Message, Role, Text, Unknown

PNG = "iVBORw0KGgo="


def unsaid(provider: str, client: str, body: dict[str, Any]) -> list[str]:
    return list(get_format(client).unsaid(get_format(provider).decode_response(json.dumps(body).encode())))


def claude(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": list(blocks)}


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **more}]}


SEARCHED = claude({"type": "server_tool_use", "id": "s", "name": "f", "input": {}}, {"type": "text", "text": "x"})
CHAT = {"choices": [{"index": i, "message": {"content": "x"}, "finish_reason": "stop"} for i in range(2)]}
PICTURE = gemini({"inlineData": {"mimeType": "image/png", "data": PNG}})
CODE = gemini({"executableCode": {"code": "1"}})
GROUNDED = gemini(
    {"text": "x"}, groundingMetadata={"webSearchQueries": ["q"], "groundingChunks": [], "imageSearchQueries": []}
)
PAGED = claude(
    {
        "type": "text",
        "text": "x",
        "citations": [{"type": "page_location", "document_index": 0, "start_page_number": 1, "end_page_number": 2}],
    }
)
FILED = {
    "id": "r",
    "output": [
        {"type": "web_search_call", "id": "w"},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "x", "annotations": [{"type": "file_path", "file_id": "f", "index": 0}]}
            ],
        },
    ],
}


@pytest.mark.parametrize(
    ("provider", "client", "body", "found"),
    [
        ("anthropic-messages", "openai-chat", SEARCHED, ["answer.server_tool_use"]),
        ("anthropic-messages", "anthropic-messages", SEARCHED, []),
        ("openai-chat", "anthropic-messages", CHAT, ["answer.choices"]),
        ("openai-chat", "gemini-generate-content", CHAT, []),
        ("gemini-generate-content", "openai-chat", PICTURE, []),
        ("gemini-generate-content", "bedrock-converse", PICTURE, []),
        ("gemini-generate-content", "anthropic-messages", PICTURE, ["answer.image"]),
        ("gemini-generate-content", "cohere-chat", CODE, ["answer.executableCode"]),
        ("gemini-generate-content", "openai-chat", GROUNDED, ["answer.groundingMetadata.webSearchQueries"]),
        ("anthropic-messages", "openai-chat", PAGED, ["answer.citations"]),
        ("anthropic-messages", "openai-responses", PAGED, ["answer.citations"]),
        ("anthropic-messages", "bedrock-converse", PAGED, []),
        ("anthropic-messages", "cohere-chat", PAGED, []),
        ("anthropic-messages", "gemini-generate-content", PAGED, []),
        ("openai-responses", "openai-chat", FILED, ["answer.web_search_call", "answer.citations"]),
        ("openai-responses", "bedrock-converse", FILED, ["answer.web_search_call", "answer.citations"]),
    ],
)
def test_what_is_lost_of_an_answer(provider, client, body, found):
    assert unsaid(provider, client, body) == found


def test_parts_are_called_as_their_own_format_does():
    assert kind_of(Blob("audio", "audio/wav", "")) == "audio"
    assert kind_of(Unknown("x", {"part": {"type": "t"}})) == "t"
    assert kind_of(Unknown("x", {"guardContent": {}})) == "guardContent"
    assert kind_of(Unknown("x", {})) == kind_of(Unknown("x", 7)) == "content"


def test_each_choice_is_looked_at_where_there_is_room_for_it():
    cited = Message(Role.ASSISTANT, (Text("x", citations=(Citation(),)),))
    response = ChatResponse("i", "m", (ChatChoice(0, Message(Role.ASSISTANT, ()), None), ChatChoice(1, cited, None)))
    assert list(unsaid_in(response, lambda _: False, several=True)) == ["answer.citations"]
    assert list(unsaid_in(response, lambda _: False, several=False)) == ["answer.choices"]
    assert list(beside({"groundingMetadata": 7, "urlContextMetadata": {"urlMetadata": [1]}})) == [
        "answer.urlContextMetadata.urlMetadata"
    ]
