"""What is read of a relayed answer: by the path that was asked, whatever the pieces, and never at the answer's cost."""

from __future__ import annotations

import json

import pytest

from llmgate.pipeline.observing import RelayObserver, format_at, observer_for
from llmgate.spec import Outcome, Provider, ProviderRow

ROW = ProviderRow(
    name="v",
    title="V",
    base_url="https://v.test/v1",
    formats={
        "openai-chat": "/chat/completions",
        "anthropic-messages": "/messages",
        "gemini-generate-content": "/models/{model}:generateContent",
        "bedrock-converse": "host:/model/{model}/converse",
    },
)
PROVIDER = Provider("v", ROW, "https://v.test/v1")
ANSWER = json.dumps(
    {
        "id": "1",
        "model": "m-1",
        "service_tier": "flex",
        "usage": {"prompt_tokens": 11, "completion_tokens": 7},
        "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}],
    }
).encode()
STREAM = (
    b'data: {"id":"1","model":"m-1","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
    b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}\n\ndata: [DONE]\n\n'
)


def observer(
    kind: str = "application/json", path: str = "/v1/chat/completions", status: int = 200
) -> RelayObserver | None:
    return observer_for(PROVIDER, path, status, {"content-type": kind})


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/chat/completions", "openai-chat"),
        ("/v1/chat/completions?x=1", "openai-chat"),
        ("/v1/messages", "anthropic-messages"),
        ("/v1/models/g-1:generateContent", "gemini-generate-content"),
        ("/v1/models/g-1:streamGenerateContent?alt=sse", "gemini-generate-content"),
        ("/model/us.x-v1:0/converse", "bedrock-converse"),
        ("/v1/model/us.x-v1:0/converse-stream", "bedrock-converse"),
        ("/v1/chat/completions/more", None),
        ("/v1/models/g-1:countTokens", None),
        ("/v1/files", None),
        ("/", None),
    ],
)
def test_the_path_tells_the_format(path: str, name: str | None) -> None:
    found = format_at(PROVIDER, path)
    assert (found and found.name) == name


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(("kind", "body"), [("application/json; charset=utf-8", ANSWER), ("text/event-stream", STREAM)])
def test_what_an_answer_says_is_noted_whatever_the_pieces(kind: str, body: bytes, size: int) -> None:
    watching = observer(kind)
    assert watching is not None
    for place in range(0, len(body), size):
        watching.feed(body[place : place + size])
    outcome = Outcome(complete=True)
    watching.finish(outcome)
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens, outcome.usage.output_tokens, outcome.model) == (11, 7, "m-1")
    assert outcome.complete


@pytest.mark.parametrize(
    ("kind", "path", "status"),
    [
        ("text/html", "/v1/chat/completions", 200),
        ("", "/v1/chat/completions", 200),
        ("application/json", "/v1/chat/completions", 400),
        ("application/json", "/v1/files", 200),
    ],
)
def test_what_is_no_answer_of_a_known_format_is_not_read(kind: str, path: str, status: int) -> None:
    assert observer(kind, path, status) is None
    assert observer_for(PROVIDER, path, 200, {"content-type": "application/json", "content-encoding": "br"}) is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"[]"),
        ("application/json", b""),
        ("text/event-stream", b"data: {\n\n"),
    ],
)
def test_what_cannot_be_read_is_unknown(kind: str, body: bytes) -> None:
    watching = observer(kind)
    assert watching is not None
    watching.feed(body)
    watching.feed(b"more")
    outcome = Outcome(complete=True)
    watching.finish(outcome)
    assert outcome == Outcome(complete=True)


def test_an_answer_that_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmgate.pipeline.observing._LARGEST", 10)
    watching = observer()
    assert watching is not None
    watching.feed(ANSWER)
    outcome = Outcome()
    watching.finish(outcome)
    assert outcome == Outcome()
