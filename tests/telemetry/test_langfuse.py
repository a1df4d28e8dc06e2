"""The example for Langfuse, against a receiver of OTLP that reads what really goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.formats import get_format, read_request
from llmgate.spec import Credentials, Operation, SecretNotFoundError
from llmgate.testing.transport import Answer, ScriptedTransport, stream_answer
from scripted import completion
from telemetry.collectors import Collector, collector, said

EXAMPLE = Path(__file__).parents[2] / "config-examples" / "13-langfuse.yaml"
AUTHORIZATION = "Basic cGstbGYtY2FuYXJ5OnNrLWxmLWNhbmFyeQ=="
KEY = "sk-proj-canary0123456789abcdefghij"
HEADERS = {"helicone-user-id": "alice", "helicone-session-id": "s-1", "helicone-property-app": "shop"}
ASKED = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": f"marzipan {KEY}"}]}


@pytest.fixture
def langfuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collector() as kept:
        monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
        monkeypatch.setenv("LANGFUSE_AUTHORIZATION", AUTHORIZATION)
        monkeypatch.setenv("LLMGATE__TELEMETRY__OTLP_ENDPOINT", f"{kept.url}/api/public/otel")
        yield kept


async def trace(answer: Answer | None = None, asked: Any = None, config: Path = EXAMPLE, **headers: str) -> None:
    transport = ScriptedTransport([answer or completion("nougat")])
    asked = asked or ASKED
    async with Pipeline.from_config(config, transport=transport) as pipeline:
        credentials = Credentials(headers={**HEADERS, **headers}, client_address="127.0.0.1")
        async with pipeline.exchange(credentials=credentials, operation=Operation.CHAT, surface="openai") as exchange:
            request = read_request(get_format("openai-chat"), json.dumps(asked).encode())
            if not request.stream:
                await exchange.send(request)
                return
            async for _ in await exchange.stream(request):
                pass


def root(kept: Collector) -> dict[str, Any]:
    (span,) = [one for one in kept.spans if one.kind == one.SPAN_KIND_SERVER]
    return said(span)


async def test_langfuse_is_shown_the_key_and_told_what_was_asked_and_answered(
    langfuse: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    await trace()
    assert "/api/public/otel/v1/traces" in langfuse.paths
    assert {one["authorization"] for one in langfuse.headers} == {AUTHORIZATION}
    assert {one["x-langfuse-ingestion-version"] for one in langfuse.headers} == {"4"}
    told = root(langfuse)
    assert json.loads(told["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "marzipan [redacted]"}]}
    ]
    (answer,) = json.loads(told["gen_ai.output.messages"])
    assert (answer["role"], answer["parts"]) == ("assistant", [{"type": "text", "content": "nougat"}])
    for secret in (AUTHORIZATION[6:], KEY, "key-of-openai", "canary"):
        assert secret.encode() not in langfuse.raw
        assert secret not in caplog.text


async def test_users_sessions_and_tags_stand_on_every_span(langfuse: Collector) -> None:
    await trace()
    assert len(langfuse.spans) == 2
    for span in langfuse.spans:
        told = said(span)
        assert (told["user.id"], told["session.id"]) == ("alice", "s-1")
        assert [one.string_value for one in told["langfuse.trace.tags"].values] == ["app:shop"]


async def test_without_the_opt_in_nothing_of_the_content_is_there(langfuse: Collector, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(EXAMPLE.read_text().replace("content: true", "content: false"))
    await trace(config=config)
    assert "gen_ai.request.model" in root(langfuse)
    assert b"marzipan" not in langfuse.raw
    assert b"nougat" not in langfuse.raw


async def test_what_a_caller_has_omitted_is_not_told(langfuse: Collector) -> None:
    await trace(**{"helicone-omit-request": "true"})
    assert b"marzipan" not in langfuse.raw
    assert "nougat" in root(langfuse)["gen_ai.output.messages"]


async def test_a_stream_is_told_put_together(langfuse: Collector) -> None:
    events = [
        {"id": "x", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "nou"}}]},
        {"id": "x", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "gat"}, "finish_reason": "stop"}]},
    ]
    wire = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events) + b"data: [DONE]\n\n"
    await trace(stream_answer(wire), {**ASKED, "stream": True})
    parts = [{"type": "text", "content": "nougat"}]
    assert json.loads(root(langfuse)["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": parts, "finish_reason": "stop"}
    ]


async def test_a_request_beyond_the_limit_is_told_as_its_beginning(
    langfuse: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMGATE__RECORDS__CONTENT_LIMIT", "256")
    await trace(asked={**ASKED, "messages": [{"role": "user", "content": "marzipan " * 1000}]})
    told = root(langfuse)
    assert "gen_ai.input.messages" not in told
    assert "marzipan" in told["llmgate.request.body"]
    assert len(told["llmgate.request.body"]) <= 256


@pytest.mark.parametrize("value", [None, "Basic canary\nx-other: 1", "Basic cänary"])
async def test_a_header_that_is_not_there_or_none_stops_the_start_and_is_not_shown(
    langfuse: Collector, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("LANGFUSE_AUTHORIZATION")
    else:
        monkeypatch.setenv("LANGFUSE_AUTHORIZATION", value)
    with pytest.raises(SecretNotFoundError, match=r"telemetry\.otlp-headers: .*LANGFUSE_AUTHORIZATION") as caught:
        await trace()
    assert "anary" not in str(caught.value)
    assert langfuse.paths == []


async def test_a_secret_that_has_changed_counts_with_the_next_export(
    langfuse: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Pipeline.from_config(EXAMPLE, transport=ScriptedTransport([completion()])) as pipeline:
        monkeypatch.setenv("LANGFUSE_AUTHORIZATION", "Basic bmV3")
        await pipeline.reload()
        await pipeline.complete(**ASKED)
    assert {one["authorization"] for one in langfuse.headers} == {"Basic bmV3"}
