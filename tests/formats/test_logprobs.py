from __future__ import annotations

from typing import Any

import pytest

from llmgate.formats import get_format
from llmgate.formats.logprobs import asked_logprobs, choice_logprobs, logprob_fields, tokens_in
from llmgate.spec import ChatRequest

INCLUDE = "message.output_text.logprobs"


def request(extra_format: str, **extra: Any) -> ChatRequest:
    return ChatRequest("m", [], extra=extra, extra_format=extra_format)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("openai-chat", logprobs=True, top_logprobs=3), {"logprobs": True, "top_logprobs": 3}),
        (request("ollama-chat", logprobs=True), {"logprobs": True}),
        (request("openai-chat", logprobs=None), {}),
        (request("openai-responses", include=[INCLUDE]), {"logprobs": True}),
        (request("openai-responses", include=[INCLUDE], top_logprobs=0), {"logprobs": True, "top_logprobs": 0}),
        (request("openai-responses", top_logprobs=2), {"logprobs": True, "top_logprobs": 2}),
        (request("openai-responses", include=["reasoning.encrypted_content"], top_logprobs=0), {}),
        (request("anthropic-messages", logprobs=True), {}),
    ],
)
def test_what_is_asked_for(asked: ChatRequest, expected: dict[str, Any]) -> None:
    assert asked_logprobs(asked) == expected
    assert bool(logprob_fields(asked)) is bool(expected)


@pytest.mark.parametrize("name", ["openai-chat", "gemini-generate-content", "ollama-chat"])
def test_what_else_is_to_be_included_is_reported(name: str) -> None:
    include = [INCLUDE, "reasoning.encrypted_content", "web_search_call.action.sources"]
    found = get_format(name).unsupported(request("openai-responses", include=include))
    assert [(one.param, one.kind) for one in found] == [("include", "report")]
    found = get_format(name).unsupported(request("openai-responses", include=include[:2]))
    assert list(found) == []


def test_tokens_get_all_that_openais_chat_demands() -> None:
    (token,) = choice_logprobs([{"token": "ü", "logprob": -1, "top_logprobs": [{"token": "u", "logprob": -2}, "odd"]}])[
        "logprobs"
    ]["content"]
    assert token == {
        "token": "ü",
        "logprob": -1,
        "bytes": [195, 188],
        "top_logprobs": [{"token": "u", "logprob": -2, "bytes": [117]}],
    }
    assert choice_logprobs([{"token": "x", "bytes": [240]}])["logprobs"]["content"][0]["bytes"] == [240]


@pytest.mark.parametrize("value", [None, [], "x", [1], {}])
def test_nothing_is_nothing(value: Any) -> None:
    assert choice_logprobs(value) == {}
    assert list(tokens_in({"logprobs": value})) == []
    assert list(tokens_in({"logprobs": {"content": value}})) == []
