"""Search results, documents of parts and found tools, as formats that have none of them read them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.plain_blocks import with_plain_blocks
from llmgate.spec import ChatRequest, Message, Role, Text, Unknown

FOUND = {
    "type": "search_result",
    "source": "https://example.com/a",
    "title": "A page",
    "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
    "citations": {"enabled": True},
}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
PARTS = {
    "type": "document",
    "title": "T",
    "source": {"type": "content", "content": [{"type": "text", "text": "First."}, PICTURE]},
}
OTHERS = ["openai-chat", "openai-responses", "gemini-generate-content", "cohere-chat", "ollama-chat"]


def asking(*blocks: dict[str, Any], in_result: bool = False) -> ChatRequest:
    content = list(blocks)
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if in_result:
        call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
        result = {"type": "tool_result", "tool_use_id": "t", "content": content}
        turns = [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    body = {"model": "m", "max_tokens": 99, "messages": turns}
    return get_format("anthropic-messages").decode_request(json.dumps(body).encode())


def lost(provider: str, request: ChatRequest) -> dict[str, str]:
    return {one.param: one.kind for one in get_format(provider).unsupported(request)}


@pytest.mark.parametrize("in_result", [False, True])
@pytest.mark.parametrize("provider", OTHERS)
def test_a_search_result_is_its_words(provider: str, in_result: bool) -> None:
    request = asking(FOUND, in_result=in_result)
    assert lost(provider, request) == {"messages.citations": "report"}
    written = get_format(provider).encode_request(request)
    assert b"A page\\nhttps://example.com/a\\nOne.\\nTwo." in written
    silent = asking({**FOUND, "citations": {"enabled": False}}, in_result=in_result)
    assert lost(provider, silent) == {}


@pytest.mark.parametrize("in_result", [False, True])
def test_bedrock_and_anthropic_have_search_results_alike(in_result: bool) -> None:
    converse, claude = get_format("bedrock-converse"), get_format("anthropic-messages")
    request = asking(FOUND, in_result=in_result)
    assert lost("bedrock-converse", request) == {}
    written = converse.encode_request(request)
    block = json.loads(written)["messages"][-1]["content"][0]
    block = block["toolResult"]["content"][0] if in_result else block
    assert block == {
        "searchResult": {
            "source": FOUND["source"],
            "title": "A page",
            "content": [{"text": "One."}, {"text": "Two."}],
            "citations": {"enabled": True},
        }
    }
    again = json.loads(claude.encode_request(converse.decode_request(written)))["messages"][-1]["content"][0]
    assert (again["content"][0] if in_result else again) == FOUND


@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses", "gemini-generate-content", "bedrock-converse"])
def test_a_document_of_parts_is_its_parts(provider: str) -> None:
    request = asking(PARTS)
    assert lost(provider, request) == {"messages.title": "report"}
    written = get_format(provider).encode_request(request)
    assert b"First." in written
    assert b"iVBORw0KGgo=" in written


def test_a_document_of_one_text_is_that_text() -> None:
    request = asking({"type": "document", "source": {"type": "content", "content": "All of it."}})
    assert lost("openai-chat", request) == {}
    assert b"All of it." in get_format("openai-chat").encode_request(request)


def test_a_document_with_a_part_that_nobody_else_knows_is_refused() -> None:
    odd = {"type": "document", "source": {"type": "content", "content": [{"type": "new"}]}}
    assert lost("openai-chat", asking(odd)) == {"messages[0]": "refuse"}


def test_a_tool_that_was_found_is_told_of_in_words() -> None:
    request = asking({"type": "tool_reference", "tool_name": "weather"}, in_result=True)
    assert lost("gemini-generate-content", request) == {"messages.tool_reference": "report"}
    assert b"The tool weather can be called now." in get_format("gemini-generate-content").encode_request(request)


def test_messages_without_such_blocks_are_the_very_same() -> None:
    messages = (Message(Role.USER, (Text("x"),)),)
    assert with_plain_blocks(messages, (), print) is messages
    other = (Message(Role.USER, (Unknown("openai-responses", {"type": "item_reference"}),)),)
    assert with_plain_blocks(other, (), print) == other
