"""What is compared by meaning and what must be equal: every field, header and caller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llmgate_semantic_cache.questions import Question, read_question

from llmgate.formats import get_format, read_request
from llmgate.spec import ExchangeView
from llmgate.testing.samples import sample_exchange

BASE: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "What is Rust?"},
    ],
    "temperature": 0,
}


def question(
    body: dict[str, Any], name: str = "openai-chat", *, tools: bool = False, scope: Any = ("a",), **fields: Any
) -> Question | None:
    request = read_request(get_format(name), json.dumps(body).encode(), **fields.pop("request", {}))
    view = ExchangeView(sample_exchange(request, **fields))
    return read_question(view, request, scope, tools=tools, longest=100)


def said(text: Any) -> dict[str, Any]:
    return {**BASE, "messages": [*BASE["messages"][:-1], {"role": "user", "content": text}]}


def partition(body: dict[str, Any], **fields: Any) -> str:
    found = question(body, **fields)
    assert found is not None
    return found.partition


def test_only_the_last_words_may_differ() -> None:
    found = question(BASE)
    assert found is not None
    assert found.text == "What is Rust?"
    assert partition(said("Tell me about Rust")) == found.partition
    reordered = json.loads(json.dumps(BASE, sort_keys=True))
    assert partition(reordered) == found.partition


@pytest.mark.parametrize(
    "change",
    [
        {"model": "n"},
        {"temperature": 1},
        {"top_p": 0.5},
        {"seed": 3},
        {"stop": ["x"]},
        {"logit_bias": {"1": 2}},
        {"response_format": {"type": "json_object"}},
        {"user": "u"},
        {"max_tokens": 5},
        {"stream": True},
        {"unknown": 1},
        {"messages": [{"role": "system", "content": "be long"}, *BASE["messages"][1:]]},
        {"messages": BASE["messages"][2:]},
        {"messages": [*BASE["messages"][:-1], {"role": "user", "content": "What is Rust?", "name": "n"}]},
        {
            "messages": [
                *BASE["messages"][:-1],
                {"role": "user", "content": [{"type": "text", "text": "What is Rust?"}]},
            ]
        },
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_everything_else_must_be_equal(change: dict[str, Any]) -> None:
    assert partition({**BASE, **change}) != partition(BASE)


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": ("b",)},
        {"router": "r"},
        {"client_headers": {"helicone-target-url": "https://x"}},
        {"client_headers": {"helicone-user-id": "u"}},
    ],
)
def test_who_asks_and_how_must_be_equal(fields: dict[str, Any]) -> None:
    assert partition(BASE, **fields) != partition(BASE)


def test_labels_need_not() -> None:
    labels = {"helicone-property-app": "a", "llmgate-semantic-cache-similarity": "0.99", "x-other": "1"}
    assert partition(BASE, client_headers=labels) == partition(BASE)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("anthropic-messages", {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Q one"}]}),
        ("openai-responses", {"model": "m", "input": "Q one"}),
        (
            "openai-responses",
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text", "text": "Q one"}]}]},
        ),
        ("gemini-generate-content", {"contents": [{"role": "user", "parts": [{"text": "Q one"}]}]}),
    ],
)
def test_every_format_of_chat(name: str, body: dict[str, Any]) -> None:
    fields = {"request": {"model": "m"}} if name.startswith("gemini") else {}
    found = question(body, name, **fields)
    assert found is not None
    assert found.text == "Q one"
    other = question(json.loads(json.dumps(body).replace("Q one", "Q two")), name, **fields)
    assert other is not None
    assert other.partition == found.partition


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    "body",
    [
        {**BASE, "tools": [TOOL]},
        {**BASE, "messages": BASE["messages"][:-1]},
        said(""),
        said("x" * 101),
        said([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        said([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
    ],
    ids=["tools", "not-the-users", "empty", "long", "several", "image"],
)
def test_what_cannot_be_compared_is_left_alone(body: dict[str, Any]) -> None:
    assert question(body) is None


def test_tools_where_they_are_allowed() -> None:
    one = question({**BASE, "tools": [TOOL]}, tools=True)
    assert one is not None
    other = {**TOOL, "function": {**TOOL["function"], "name": "g"}}
    assert one.partition != partition({**BASE, "tools": [other]}, tools=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("profit in 2024", "profit in 2025"),
        ("coffee with sugar", "coffee without sugar"),
        ("is it safe", "isn't it safe"),
        ("translate 'cat'", "translate 'dog'"),
        ("what is 2+2", "what is 2+3"),
    ],
)
def test_literals_tell_apart_what_embeddings_do_not(one: str, other: str) -> None:
    first, second = question(said(one)), question(said(other))
    assert first is not None
    assert second is not None
    assert first.literals != second.literals


def test_words_of_no_weight_are_no_literals() -> None:
    first, second = question(said("What is Rust?")), question(said("Tell me what Rust is"))
    assert first is not None
    assert second is not None
    assert first.literals == second.literals == ()
