"""Servers of OpenAI's format that call fields otherwise, or refuse them, hear what clients of other formats ask.

Mistral refuses every field that it does not know (422, ``extra_forbidden``); DeepSeek and older servers of open models
do not look at ``max_completion_tokens``, so that a limit under that name would be none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from end_to_end.dialects.dialect import Said
from end_to_end.dialects.openai_chat import OpenAIChat
from end_to_end.loopback import Reply, loopback
from llmgate.testing.upstream import FakeUpstream

TAKEN = {
    "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata", "tools",
    "response_format", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "reasoning_effort",
    "parallel_tool_calls", "prompt_mode", "guardrails", "prompt_cache_key", "safe_prompt",
}  # fmt: skip
"""What Mistral takes. Source: mistralai/client-python, ``ChatCompletionRequest``."""
TURNS = [
    {"role": "user", "content": "What now?"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_01A", "name": "now", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01A", "content": "noon"}]},
]
CLAUDE: Mapping[str, Any] = {
    "max_tokens": 640,
    "messages": TURNS,
    "tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}],
    "metadata": {"user_id": "u1"},
    "stop_sequences": ["END"],
}


async def asked(
    provider: str, path: str, body: Mapping[str, Any], **settings: Any
) -> tuple[Reply, dict[str, Any], FakeUpstream]:
    dialect = OpenAIChat()
    async with FakeUpstream() as upstream:
        upstream.answer(body=dialect.whole(Said(text="Noon.")), headers={"content-type": "application/json"})
        async with loopback({"providers": {provider: {"base-url": upstream.base_url, **settings}}}) as gateway:
            reply = await gateway.post({"model": f"{provider}/some-model", **body}, path)
        return reply, json.loads(upstream.requests[0].body) if upstream.requests else {}, upstream


async def test_an_anthropic_client_is_served_by_mistral() -> None:
    reply, sent, _ = await asked("mistral", "/v1/messages", CLAUDE)
    assert reply.status == 200, reply.body
    assert sent.keys() <= TAKEN
    assert (sent["max_tokens"], sent["stop"]) == (640, ["END"])
    assert reply.headers["llmgate-dropped-params"] == "metadata.user_id"
    (call,), result = sent["messages"][1]["tool_calls"], sent["messages"][2]
    assert call["id"] == result["tool_call_id"]
    assert len(call["id"]) == 9
    assert call["id"].isalnum()


async def test_a_gemini_clients_seed_is_mistrals_random_seed() -> None:
    config = {"seed": 7, "maxOutputTokens": 9}
    body = {"contents": [{"role": "user", "parts": [{"text": "?"}]}], "generationConfig": config, "serviceTier": "flex"}
    reply, sent, _ = await asked("mistral", "/v1beta/models/mistral%2Fsome-model:generateContent", body)
    assert reply.status == 200, reply.body
    assert sent.keys() <= TAKEN
    assert (sent["random_seed"], sent["max_tokens"]) == (7, 9)
    assert reply.headers["llmgate-dropped-params"] == "serviceTier"


async def test_a_limit_goes_by_the_name_that_binds() -> None:
    for provider in ("deepseek", "openrouter", "together"):
        _, sent, _ = await asked(provider, "/v1/messages", CLAUDE)
        assert (sent.get("max_tokens"), sent.get("max_completion_tokens")) == (640, None), provider
    for provider in ("openai", "groq"):
        _, sent, _ = await asked(provider, "/v1/messages", CLAUDE)
        assert (sent.get("max_tokens"), sent.get("max_completion_tokens")) == (None, 640), provider


async def test_an_operator_says_it_of_a_server_of_his_own() -> None:
    fields = {"max_completion_tokens": "max_tokens", "user": ""}
    _, sent, _ = await asked("mine", "/v1/messages", CLAUDE, **{"chat-fields": fields})
    assert (sent["max_tokens"], sent.keys() & {"user", "max_completion_tokens"}) == (640, set())
    _, sent, _ = await asked("deepseek", "/v1/messages", CLAUDE, **{"chat-fields": {"user": "user_id"}})
    assert (sent["max_tokens"], sent["user_id"]) == (640, "u1")


async def test_what_the_answer_depends_on_is_refused_and_not_left_out() -> None:
    body = {**CLAUDE, "tool_choice": {"type": "any"}}
    reply, _, upstream = await asked("mine", "/v1/messages", body, **{"chat-fields": {"tool_choice": ""}})
    assert (reply.status, upstream.requests) == (400, [])
    assert "tool_choice has no counterpart" in reply.error["message"]


async def test_what_a_client_of_the_format_sends_is_relayed() -> None:
    body = {"messages": TURNS[:1], "max_completion_tokens": 9, "seed": 7, "user": "u1"}
    _, sent, _ = await asked("mistral", "/v1/chat/completions", body)
    assert {name: sent[name] for name in body} == body
