"""Marks for the cache of a prompt go between Anthropic's words, Bedrock's and OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.catalogue.facts import facts_of
from llmgate.formats import get_format
from llmgate.formats.cache_marks import BREAKPOINT, breakpoint_of, breakpoints, with_breakpoints, with_marks
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, Message, Reasoning, Role, Text, ToolCallResponse

HALF_HOUR = {"mode": "explicit", "ttl": "30m"}
MARK = {"type": "ephemeral"}
NEW = facts_of("gpt-5.6-sol")


def chat(*points: dict[str, Any] | None) -> ChatRequest:
    content = [{"type": "text", "text": "x", **({BREAKPOINT: one} if one else {})} for one in points]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return get_format("openai-chat").decode_request(json.dumps(body).encode())


def claude(*marks: dict[str, Any] | None, system: dict[str, Any] | None = None) -> ChatRequest:
    content = [{"type": "text", "text": "x", **({"cache_control": one} if one else {})} for one in marks]
    body: dict[str, Any] = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": content}]}
    if system is not None:
        body["system"] = [{"type": "text", "text": "s", "cache_control": system}]
    return get_format("anthropic-messages").decode_request(json.dumps(body).encode())


def lost(provider: str, request: ChatRequest, facts: Any = UNKNOWN_MODEL) -> dict[str, str]:
    return {one.param: one.kind for one in get_format(provider).unsupported(request, facts)}


def sent(provider: str, request: ChatRequest, facts: Any = UNKNOWN_MODEL) -> dict[str, Any]:
    return json.loads(get_format(provider).encode_request(request, facts))


def test_which_models_know_breakpoints():
    known = [name for name in ("gpt-4o", "gpt-5", "gpt-5.5", "gpt-5.6-sol", "gpt-6-astra", "gpt-6.1-terra", "x")
             if facts_of(name).cache_breakpoints]  # fmt: skip
    assert known == ["gpt-5.6-sol", "gpt-6-astra", "gpt-6.1-terra"]
    assert breakpoints(claude(), UNKNOWN_MODEL) == ()
    assert breakpoints(claude(), NEW) == breakpoints(chat(), UNKNOWN_MODEL) == (BREAKPOINT,)


def test_from_openai_to_anthropic_and_bedrock():
    request = chat({"mode": "explicit"}, None, HALF_HOUR)
    assert [block.get("cache_control") for block in sent("anthropic-messages", request)["messages"][0]["content"]] == [
        MARK, None, {**MARK, "ttl": "1h"},
    ]  # fmt: skip
    assert lost("anthropic-messages", request) == {}
    request = chat({"mode": "explicit", "ttl": "12h"})
    assert lost("anthropic-messages", request) == {f"messages.{BREAKPOINT}": "adjust"}
    named = ChatRequest(model="anthropic.claude-sonnet-4-5", messages=request.messages, extra_format="openai-chat")
    assert sent("bedrock-converse", named)["messages"][0]["content"][1] == {
        "cachePoint": {"type": "default", "ttl": "1h"}
    }


@pytest.mark.parametrize("provider", ["gemini-generate-content", "ollama-chat", "cohere-chat"])
def test_who_has_no_marks_says_so(provider):
    assert lost(provider, chat({"mode": "explicit"})) == {f"messages.{BREAKPOINT}": "report"}


@pytest.mark.parametrize("provider", ["openai-chat", "openai-responses"])
def test_from_anthropic_to_openai(provider):
    request = claude(MARK, None, {**MARK, "ttl": "1h"}, system=MARK)
    assert lost(provider, request) == {"cache_control": "report"}, "the model is not known to take it"
    assert BREAKPOINT not in json.dumps(sent(provider, request))
    assert lost(provider, request, NEW) == {"cache_control": "adjust"}
    system, user = sent(provider, request, NEW)["messages" if provider == "openai-chat" else "input"]
    assert [part[BREAKPOINT] for part in system["content"]] == [{"mode": "explicit"}]
    assert [part.get(BREAKPOINT) for part in user["content"]] == [{"mode": "explicit"}, None, {"mode": "explicit"}]


def test_between_openais_formats():
    content = [{"type": "input_text", "text": "x", BREAKPOINT: HALF_HOUR}]
    body = {"model": "m", "input": [{"role": "user", "content": content}], "prompt_cache_options": {"ttl": "12h"}}
    request = get_format("openai-responses").decode_request(json.dumps(body).encode())
    written = sent("openai-chat", request)
    assert written["messages"] == [{"role": "user", "content": [{"type": "text", "text": "x", BREAKPOINT: HALF_HOUR}]}]
    assert written["prompt_cache_options"] == {"ttl": "12h"}
    assert lost("openai-chat", request) == {}
    back = sent("openai-responses", get_format("openai-chat").decode_request(json.dumps(written).encode()))
    assert back["input"][0]["content"] == content
    assert back["prompt_cache_options"] == {"ttl": "12h"}


def test_there_are_four_and_none_on_results():
    marked = Text("x", extra={"cache_control": MARK})
    result = ToolCallResponse("c", (Text("y"),), extra={"cache_control": MARK})
    messages = (Message(Role.USER, (marked,) * 5), Message(Role.TOOL, (result,)), Message(Role.ASSISTANT, (marked,)))
    changed = with_breakpoints(messages, pytest.fail)
    assert [bool(breakpoint_of(part)) for part in changed[0].parts] == [True] * 4 + [False]
    assert changed[1:] == messages[1:]
    plain = (Message(Role.USER, (Text("x"), Reasoning("y", extra={BREAKPOINT: 1}))),)
    assert with_breakpoints(plain, pytest.fail) is plain
    assert with_marks(plain, pytest.fail) == plain


def test_what_only_has_the_name_of_anthropics_is_not_sent_there():
    body = {"model": "m", "input": "x", "context_management": [{"type": "compaction", "compact_threshold": 9}]}
    request = get_format("openai-responses").decode_request(json.dumps(body).encode())
    assert lost("anthropic-messages", request) == {"context_management": "report"}
    assert "context_management" not in sent("anthropic-messages", request)
