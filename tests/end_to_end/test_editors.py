"""What editors send that cannot be installed here, replayed from what is known of its shape.

Sources: for GitHub Copilot Chat its public source (microsoft/vscode-copilot-chat, "Custom Endpoint") and issues in
microsoft/vscode (316189, 321514) and ovh/public-cloud-roadmap (1162); for Cursor what other gateways have seen of it
(BerriAI/litellm 34029, cursor/cursor 1289, gabrii/Cursor-Azure-GPT-5 69, Soju06/codex-lb 833, icebear0828/codex-proxy
707). That they send just this is not known.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from end_to_end.dialects.anthropic_messages import AnthropicMessages
from end_to_end.dialects.dialect import Call, Dialect, Said
from end_to_end.dialects.openai_chat import OpenAIChat
from end_to_end.dialects.openai_responses import OpenAIResponses
from end_to_end.loopback import Loopback, loopback
from formats.openai_responses.recorded import end, numbered, start
from llmgate.testing.upstream import FakeUpstream

SAID = Said(text="I will look.", calls=[Call("call_1", "read_file", {"path": "a.py"})], finish="tools")
READ_FILE = {
    "name": "read_file",
    "description": "Reads a file",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
}
NO_PARAMETERS = {"name": "get_errors", "description": "Lists what the compiler says"}
FUNCTIONS = [{"type": "function", "function": READ_FILE}, {"type": "function", "function": NO_PARAMETERS}]
COPILOT = {
    "user-agent": "GitHubCopilotChat/0.41.0",
    "authorization": "Bearer my-key",
    "openai-intent": "conversation-panel",
}
PROVIDERS: tuple[Dialect, ...] = (OpenAIChat(), AnthropicMessages())


@asynccontextmanager
async def behind(provider: Dialect, *, stream: bool) -> AsyncIterator[tuple[Loopback, FakeUpstream]]:
    """A gateway before a model that says something and calls a tool."""
    async with FakeUpstream() as upstream:
        if stream:
            upstream.stream(provider.events(SAID), end="eof", headers={"content-type": provider.media_type})
        else:
            upstream.answer(body=provider.whole(SAID), headers={"content-type": "application/json"})
        providers = {"one": {"base-url": upstream.url, "format": provider.name}}
        async with loopback({"providers": providers}) as gateway:
            yield gateway, upstream


def chat(provider: Dialect, **more: Any) -> dict[str, Any]:
    """A conversation of an editor's: long system words, parts of text, a turn of tools behind it."""
    turns = [
        {"role": "system", "content": "You are a coding assistant.\nFollow the user's requirements."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "<context>\r\n</context>"}, {"type": "text", "text": "Fix it."}],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "get_errors", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_0", "content": "a.py:1 unexpected indent"},
    ]
    return {"model": f"one/{provider.model}", "messages": turns, "tools": FUNCTIONS, **more}


async def asked(
    provider: Dialect, body: Mapping[str, Any], path: str, client: Dialect, headers: Mapping[str, str]
) -> dict[str, Any]:
    """Send an editor's request, see that it hears the answer whole, and say what has reached the provider."""
    stream = bool(body.get("stream"))
    async with behind(provider, stream=stream) as (gateway, upstream):
        reply = await gateway.post(body, path, **{name.replace("-", "_"): value for name, value in headers.items()})
        assert reply.status == 200, reply.body
        heard = client.hear_stream(reply.body) if stream else client.hear(reply.body)
        assert attrs.evolve(heard, cached=heard.cached or None) == SAID
        received: dict[str, Any] = upstream.requests[0].json()
        return received


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
async def test_copilot_at_chat_completions(provider: Dialect) -> None:
    settings = {"temperature": 0.1, "top_p": 1, "n": 1, "max_tokens": 16000, "parallel_tool_calls": True}
    body = chat(provider, stream=True, stream_options={"include_usage": True}, tool_choice="auto", **settings)
    received = await asked(provider, body, "/v1/chat/completions", OpenAIChat(), COPILOT)
    assert len(received["tools"]) == 2
    assert received["max_tokens"] == 16000
    if provider.name == "anthropic-messages":
        assert received["tools"][1]["input_schema"]["type"] == "object", "Anthropic demands a schema"
    else:
        assert received == {**body, "model": provider.model}


async def test_copilot_at_messages() -> None:
    """With ``apiType: messages``, the key in the vendor's own header and features by ``anthropic-beta``."""
    provider, client = OpenAIChat(), AnthropicMessages()
    headers = {
        "user-agent": "GitHubCopilotChat/0.41.0",
        "x-api-key": "my-key",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14,advanced-tool-use-2025-11-20",
    }
    cached = {"cache_control": {"type": "ephemeral"}}
    body = {
        "model": f"one/{provider.model}",
        "max_tokens": 16000,
        "stream": True,
        "system": [{"type": "text", "text": "You are a coding assistant.", **cached}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Fix it.", **cached}]}],
        "tools": [{"name": "read_file", "description": "Reads", "input_schema": READ_FILE["parameters"], **cached}],
        "thinking": {"type": "enabled", "budget_tokens": 8000},
    }
    received = await asked(provider, body, "/v1/messages", client, headers)
    assert received["reasoning_effort"] == "high"
    assert [turn["role"] for turn in received["messages"]] == ["system", "user"]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda one: one.name)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_cursor_at_chat_completions(provider: Dialect, stream: bool) -> None:
    """Some of its tools have the flat shape of Responses, in a request for chat completions."""
    flat = {
        "type": "function",
        "name": "grep",
        "description": "Searches",
        "parameters": {"type": "object"},
        "strict": False,
    }
    body = chat(provider, stream=stream, temperature=1, user="google-oauth2|1234")
    body["tools"] = [*FUNCTIONS, flat]
    body |= {"stream_options": {"include_usage": True}} if stream else {}
    received = await asked(provider, body, "/v1/chat/completions", OpenAIChat(), {"authorization": "Bearer my-key"})
    assert len(received["tools"]) == 3
    if provider.name == "anthropic-messages":
        assert received["tools"][2]["name"] == "grep"
        assert received["tools"][2]["input_schema"]["type"] == "object"
    else:
        assert received["tools"] == body["tools"], "a relay changes nothing; what the server makes of it is its own"


GREP = {
    "type": "function",
    "name": "grep",
    "description": "Searches",
    "parameters": {"type": "object"},
    "strict": False,
}
PATCH_TEXT = '*** Begin Patch\n*** Add File: a.py\n+print("\u2028")\n*** End Patch'
APPLY_PATCH = {
    "type": "custom",
    "name": "ApplyPatch",
    "description": "Edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin_patch"},
}
AGENTS_TURNS = [
    {"role": "system", "content": "You are a coding assistant."},
    {"role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
    {"type": "function_call", "call_id": "call_8", "name": "ApplyPatch", "arguments": PATCH_TEXT},
    {"type": "function_call_output", "call_id": "call_8", "output": "done"},
    {"type": "function_call", "call_id": "call_9", "name": "grep", "arguments": '{"q": "x"}'},
    {"type": "function_call_output", "call_id": "call_9", "output": "none"},
    {"role": "user", "content": "Go on."},
]


def agents(provider: Dialect, *, stream: bool) -> dict[str, Any]:
    """A request of Cursor's agent, in the shape of Responses but for what it has of chat completions."""
    body: dict[str, Any] = {
        "model": f"one/{provider.model}",
        "user": "google-oauth2|1234",
        "input": AGENTS_TURNS,
        "tools": [GREP, FUNCTIONS[0], APPLY_PATCH],
        "tool_choice": "auto",
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "max_tokens": 9000,
    }
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})


@pytest.mark.parametrize("provider", [*PROVIDERS, OpenAIResponses()], ids=lambda one: one.name)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_cursors_agent_asks_like_responses_and_hears_chat_completions(provider: Dialect, stream: bool) -> None:
    body = agents(provider, stream=stream)
    received = await asked(provider, body, "/v1/chat/completions", OpenAIChat(), {"authorization": "Bearer my-key"})
    match provider.name:
        case "openai-responses":
            flat = {"type": "function", **READ_FILE}
            patch, output = received["input"][2:4]
            assert received["tools"] == [GREP, flat, APPLY_PATCH]
            assert patch == {"type": "custom_tool_call", "call_id": "call_8", "name": "ApplyPatch", "input": PATCH_TEXT}
            assert output == {"type": "custom_tool_call_output", "call_id": "call_8", "output": "done"}
            assert received["input"][4:] == AGENTS_TURNS[4:]
            assert received["max_output_tokens"] == 9000
            assert not received.keys() & {"stream_options", "max_tokens", "messages"}
        case "openai-chat":
            assert [tool["function"]["name"] for tool in received["tools"]] == ["grep", "read_file", "ApplyPatch"]
            assert [turn["role"] for turn in received["messages"]][:3] == ["system", "user", "assistant"]
        case _:
            assert [tool["name"] for tool in received["tools"]] == ["grep", "read_file", "ApplyPatch"]
            assert received["messages"][1]["content"][0]["input"] == {"input": PATCH_TEXT}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", [*PROVIDERS, OpenAIResponses()], ids=lambda one: one.name)
async def test_cursor_gets_the_input_of_a_custom_tool_as_the_arguments_of_a_function(
    provider: Dialect, stream: bool
) -> None:
    said = Said(calls=[Call("call_1", "ApplyPatch", {"input": PATCH_TEXT})], finish="tools")
    async with FakeUpstream() as upstream:
        kind = {"content-type": provider.media_type if stream else "application/json"}
        if provider.name == "openai-responses":
            item = {"id": "ctc_1", "type": "custom_tool_call", "status": "completed", "call_id": "call_1",
                    "name": "ApplyPatch", "input": PATCH_TEXT}  # fmt: skip
            place = {"output_index": 0, "item_id": "ctc_1"}
            frames = numbered([
                *start(),
                ("response.output_item.added", {"output_index": 0, "item": {**item, "input": ""}}),
                ("response.custom_tool_call_input.delta", {**place, "delta": PATCH_TEXT[:9]}),
                ("response.custom_tool_call_input.delta", {**place, "delta": PATCH_TEXT[9:]}),
                ("response.custom_tool_call_input.done", {**place, "input": PATCH_TEXT}),
                ("response.output_item.done", {"output_index": 0, "item": item}),
                *end(output=[item]),
            ])  # fmt: skip
            done = end(output=[item])[0][1]["response"]
            if stream:
                upstream.stream(frames, end="eof")
            else:
                upstream.answer(json=done)
        elif stream:
            upstream.stream(provider.events(said), end="eof", headers=kind)
        else:
            upstream.answer(body=provider.whole(said), headers=kind)
        async with loopback({"providers": {"one": {"base-url": upstream.url, "format": provider.name}}}) as gateway:
            reply = await gateway.post(agents(provider, stream=stream), "/v1/chat/completions")
    assert reply.status == 200, reply.body
    if stream:
        chunks = [json.loads(line[6:]) for line in reply.body.decode().split("\n") if line.startswith("data: {")]
        calls = [call for one in chunks for choice in one["choices"] for call in choice["delta"].get("tool_calls", ())]
        assert {call.get("type", "function") for call in calls} == {"function"}
        assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["ApplyPatch"]
        assert "".join(call["function"]["arguments"] for call in calls) == PATCH_TEXT
        assert chunks[-1]["usage"]["prompt_tokens"] > 0
        assert all(one["created"] > 0 and one["object"] == "chat.completion.chunk" for one in chunks)
        assert reply.body.endswith(b"data: [DONE]\n\n")
    else:
        answer = json.loads(reply.body)
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        assert (call["type"], call["function"]) == ("function", {"name": "ApplyPatch", "arguments": PATCH_TEXT})
        assert (answer["object"], answer["choices"][0]["finish_reason"]) == ("chat.completion", "tool_calls")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_cursor_hears_errors_as_chat_completions_have_them(stream: bool) -> None:
    provider = OpenAIResponses()
    async with FakeUpstream() as upstream:
        providers = {"one": {"base-url": upstream.url, "format": provider.name}}
        async with loopback({"providers": providers}) as gateway:
            upstream.answer(400, json={"error": {"message": "no", "type": "invalid_request_error", "param": "input"}})
            reply = await gateway.post(agents(provider, stream=stream), "/v1/chat/completions")
            assert (reply.status, reply.error["message"]) == (400, "no")
            if stream:
                begun = provider.events(Said(text="Hello there"))[:-1]
                upstream.stream(begun, end="eof", headers={"content-type": provider.media_type})
                reply = await gateway.post(agents(provider, stream=True), "/v1/chat/completions")
                heard = OpenAIChat().hear_stream(reply.body)
                assert (heard.text, heard.complete) == ("Hello there", False)
                assert heard.error


@pytest.mark.parametrize("body", [{"input": 5}, {"input": None}, {}, {"messages": "x", "input": "y"}])
async def test_what_is_neither_is_refused_as_a_chat_request(body: dict[str, Any]) -> None:
    async with loopback({"providers": {"echo": {}}}) as gateway:
        reply = await gateway.post({"model": "echo", **body}, "/v1/chat/completions")
        assert (reply.status, reply.error["param"]) == (400, "messages")


ANTHROPICS_TURNS = [
    {"role": "system", "content": "You are a coding assistant."},
    {"role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "grep", "input": {"q": "x"}},
            {"type": "tool_use", "id": "toolu_2", "name": "grep", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "none"},
            {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": [
                {"type": "text", "text": "no such"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ]},
            {"type": "text", "text": "Go on."},
        ],
    },
]  # fmt: skip
BARE = {"name": "grep", "description": "Searches", "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("provider", [AnthropicMessages(), OpenAIResponses()], ids=lambda one: one.name)
@pytest.mark.parametrize("choice", [{"type": "tool", "name": "grep"}, {"type": "any"}, {"type": "auto"}])
async def test_cursor_mixes_anthropics_blocks_into_chat_completions(provider: Dialect, choice: dict[str, str]) -> None:
    """Where its model is called claude-something; a provider that speaks chat completions gets them as they are."""
    body = {
        "model": f"one/{provider.model}",
        "messages": ANTHROPICS_TURNS,
        "tools": [BARE, FUNCTIONS[0]],
        "tool_choice": choice,
    }
    received = await asked(provider, body, "/v1/chat/completions", OpenAIChat(), {"authorization": "Bearer my-key"})
    assert [tool["name"] for tool in received["tools"]] == ["grep", "read_file"]
    if provider.name == "anthropic-messages":
        assert received["tool_choice"] == choice
        assert received["tools"][0] == BARE
        assert received["messages"][1:] == ANTHROPICS_TURNS[2:]
    else:
        kinds = [item["type"] for item in received["input"] if item.get("type", "message") != "message"]
        assert kinds == ["function_call", "function_call", "function_call_output", "function_call_output"]


async def test_cursor_asks_whether_a_key_is_good() -> None:
    """Before the first conversation, with one token."""
    provider = OpenAIChat()
    body = {"model": f"one/{provider.model}", "messages": [{"role": "user", "content": "Test prompt using gpt-3.5"}]}
    received = await asked(
        provider, {**body, "max_tokens": 10}, "/v1/chat/completions", OpenAIChat(), {"authorization": "Bearer my-key"}
    )
    assert received == {**body, "max_tokens": 10, "model": provider.model}
