"""What stands inside messages, parts and tools and has no counterpart is named, by every format for every other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.inner_losses import inner_losses
from llmgate.spec import ChatRequest, Message, Role, Text

PNG = "iVBORw0KGgo="


def lost(client: str, provider: str, body: dict[str, Any]) -> dict[str, str]:
    request = get_format(client).decode_request(json.dumps(body).encode())
    return {one.param: one.kind for one in get_format(provider).unsupported(request)}


def chat(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **more}


def claude(*content: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"model": "m", "max_tokens": 99, "messages": [{"role": role, "content": list(content)}]}


def gemini(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "m", "contents": [{"role": "user", "parts": list(parts)}], **more}


PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
CITED = {"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "x"}]}
TITLED = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
FUNCTION = {"type": "function", "function": {"name": "f", "examples": [1]}}
VIDEO = {"inlineData": {"mimeType": "video/mp4", "data": PNG}, "videoMetadata": {"fps": 1}}
INLINE = {"inlineData": {"mimeType": "image/png", "data": PNG}}
DECLARED = {"functionDeclarations": [{"name": "f", "behavior": "NON_BLOCKING", "parameters": {"type": "OBJECT"}}]}


@pytest.mark.parametrize(
    ("client", "provider", "body", "found"),
    [
        ("openai-chat", "anthropic-messages", chat({"role": "user", "content": [PICTURE]}), ["messages.detail"]),
        ("openai-chat", "openai-responses", chat({"role": "user", "content": [PICTURE]}), []),
        ("openai-chat", "cohere-chat", chat({"role": "user", "content": [PICTURE]}), []),
        ("openai-chat", "ollama-chat", chat({"role": "user", "content": "x"}, tools=[FUNCTION]), ["tools.examples"]),
        (
            "openai-chat",
            "gemini-generate-content",
            chat({"role": "assistant", "content": "x", "annotations": [{"type": "url_citation"}], "audio": None}),
            ["messages.annotations"],
        ),
        ("anthropic-messages", "openai-chat", claude(CITED, role="assistant"), ["messages.citations"]),
        ("anthropic-messages", "bedrock-converse", claude(CITED, role="assistant"), ["messages.citations"]),
        ("anthropic-messages", "openai-chat", claude(TITLED), ["messages.title"]),
        ("anthropic-messages", "bedrock-converse", claude(TITLED), []),
        ("anthropic-messages", "ollama-chat", claude({"type": "text", "text": "x", "new": 1}), ["messages.new"]),
        ("gemini-generate-content", "openai-chat", gemini(VIDEO), ["messages.videoMetadata"]),
        (
            "gemini-generate-content",
            "anthropic-messages",
            gemini({**INLINE, "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}}),
            ["messages.mediaResolution"],
        ),
        ("gemini-generate-content", "openai-chat", gemini({"text": "x"}, tools=[DECLARED]), ["tools.behavior"]),
        (
            "cohere-chat",
            "anthropic-messages",
            chat({"role": "user", "content": "x"}, {"role": "assistant", "content": "a", "citations": [{"start": 0}]}),
            ["messages.citations"],
        ),
        (
            "openai-responses",
            "openai-chat",
            {"model": "m", "input": [{"role": "assistant", "content": "x", "phase": "commentary", "id": "msg_1"}]},
            ["messages.phase"],
        ),
    ],
)
def test_it_is_named(client: str, provider: str, body: dict[str, Any], found: list[str]) -> None:
    assert lost(client, provider, body) == dict.fromkeys(found, "report")


@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses", "gemini-generate-content", "cohere-chat"])
def test_a_mark_for_the_cache_is_named_wherever_it_stands(provider: str) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}, **mark}
    tools = [{"name": "f", "input_schema": {"type": "object"}, **mark}]
    for body in (claude(picture), {**claude({"type": "text", "text": "x"}), "tools": tools}):
        assert lost("anthropic-messages", provider, body) == {"cache_control": "report"}
        assert lost("anthropic-messages", "bedrock-converse", {**body, "model": "anthropic.claude-opus-4-6-v1"}) == {}


def test_a_mark_for_the_whole_prompt_stands_behind_its_last_part_at_bedrock() -> None:
    body = {**claude({"type": "text", "text": "x"}), "model": "anthropic.claude-opus-4-6-v1"}
    body["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    request = get_format("anthropic-messages").decode_request(json.dumps(body).encode())
    value = json.loads(get_format("bedrock-converse").encode_request(request))
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert value["messages"] == [{"role": "user", "content": [{"text": "x"}, point]}]
    assert lost("anthropic-messages", "bedrock-converse", {**body, "model": "meta.llama3"}) == {
        "cache_control": "report"
    }


@pytest.mark.parametrize("provider", ["openai-responses", "anthropic-messages", "gemini-generate-content"])
def test_what_asks_for_something_by_being_there_is_refused(provider: str) -> None:
    body = chat({"role": "user", "content": "x"}, web_search_options={})
    assert lost("openai-chat", provider, body) == {"web_search_options": "refuse"}


def test_an_answer_that_is_there_by_the_id_of_its_sound_is_refused() -> None:
    body = chat({"role": "user", "content": "x"}, {"role": "assistant", "audio": {"id": "audio_1"}})
    assert lost("openai-chat", "anthropic-messages", body) == {"messages[1]": "refuse", "messages.audio": "report"}


@pytest.mark.parametrize(
    ("kinds", "found"), [(["AUDIO"], "refuse"), (["TEXT", "IMAGE"], "refuse"), (["TEXT"], "report")]
)
def test_an_answer_of_another_kind_than_text_is_promised_by_nobody(kinds: list[str], found: str) -> None:
    body = gemini({"text": "x"}, generationConfig={"responseModalities": kinds, "speechConfig": {"x": 1}})
    assert lost("gemini-generate-content", "openai-chat", body) == {"generationConfig": found}


def test_what_says_nothing_is_passed_by() -> None:
    said = Text("x", extra={"status": "completed", "annotations": [], "logprobs": [1], "caller": {"type": "direct"}})
    assert list(inner_losses(ChatRequest("m", (Message(Role.ASSISTANT, (said,)),)), ())) == []
