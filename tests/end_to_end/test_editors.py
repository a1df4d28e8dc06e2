"""What editors send that cannot be installed here, replayed from what is known of its shape.

Sources: for GitHub Copilot Chat its public source (microsoft/vscode-copilot-chat, "Custom Endpoint") and issues in
microsoft/vscode (316189, 321514) and ovh/public-cloud-roadmap (1162); for Cursor what other gateways have seen of it
(BerriAI/litellm 34029, cursor/cursor 1289). That they send just this is not known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from end_to_end.dialects.anthropic_messages import AnthropicMessages
from end_to_end.dialects.dialect import Call, Dialect, Said
from end_to_end.dialects.openai_chat import OpenAIChat
from end_to_end.loopback import Loopback, loopback
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
        assert (client.hear_stream(reply.body) if stream else client.hear(reply.body)) == SAID
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


async def test_cursor_asks_whether_a_key_is_good() -> None:
    """Before the first conversation, with one token."""
    provider = OpenAIChat()
    body = {"model": f"one/{provider.model}", "messages": [{"role": "user", "content": "Test prompt using gpt-3.5"}]}
    received = await asked(
        provider, {**body, "max_tokens": 10}, "/v1/chat/completions", OpenAIChat(), {"authorization": "Bearer my-key"}
    )
    assert received == {**body, "max_tokens": 10, "model": provider.model}
