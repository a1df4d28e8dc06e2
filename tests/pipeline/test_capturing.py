"""What records keep of contents: nothing unless it is wanted, never more than is wanted, and no secret."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from llmgate.config.records import RecordsConfig
from llmgate.pipeline import Pipeline
from llmgate.pipeline.capturing import Capture, capturing_of
from llmgate.spec import Content, Logger, PermissionDeniedError, Principal, Record, RecordContent, hookimpl
from llmgate.spec.uploads import HeldUpload
from llmgate.testing.samples import sample_exchange, sample_request

CHAT = {"model": "echo/echo", "messages": [{"role": "user", "content": "hello sk-abcdefghijklmnopqrstuv"}]}
KEPT: list[Record] = []


class Keeping(Logger[Any]):
    name = "keeping"

    async def record(self, record: Record) -> None:
        KEPT.append(record)


class Plugin:
    @hookimpl
    def llmgate_register_loggers(self) -> type[Logger[Any]]:
        return Keeping


@pytest.fixture(autouse=True)
def _nothing_kept():
    KEPT.clear()


def made(**records: Any) -> Pipeline:
    settings = {"providers": {"echo": {}}, "records": records, "loggers": [{"use": "keeping"}]}
    return Pipeline.from_config(settings, environment={}, plugins=[Plugin()])


async def recorded(*, streamed: bool = False, controls: Any = None, **records: Any) -> Record:
    async with made(**records) as pipeline:
        if streamed:
            async with pipeline.stream(**CHAT, controls=controls) as chunks:
                async for _ in chunks:
                    pass
        else:
            await pipeline.complete(**CHAT, controls=controls)
    (record,) = KEPT
    return record


@pytest.mark.parametrize("streamed", [False, True])
async def test_nothing_is_kept_unless_it_is_wanted(streamed: bool) -> None:
    assert (await recorded(streamed=streamed)).content is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_all_is_kept_without_secrets_and_streams_are_put_together(streamed: bool) -> None:
    content = (await recorded(streamed=streamed, content="full")).content
    assert content is not None
    assert content.request is not None
    assert content.response is not None
    assert content.request.text is not None
    assert content.response.text is not None
    asked, answered = json.loads(content.request.text), json.loads(content.response.text)
    assert asked["messages"][0]["content"] == "hello [redacted]"
    assert answered["choices"][0]["message"]["content"] == "hello [redacted]"
    assert answered["choices"][0]["finish_reason"] == "stop"
    assert (content.request.redactions, content.response.redactions) == (1, 1)
    assert content.response.media_type == ("text/event-stream" if streamed else "application/json")
    assert content.response.format == ("assembled" if streamed else "openai-chat")
    assert len(content.request.digest) == 64
    assert not content.request.truncated


@pytest.mark.parametrize(
    ("kept", "controls", "sides"),
    [
        ("request", {}, (True, False)),
        ("response", {}, (False, True)),
        ("full", {"helicone-omit-request": "true"}, (False, True)),
        ("full", {"helicone-omit-response": "TRUE"}, (True, False)),
        ("full", {"helicone-omit-response": "false"}, (True, True)),
        ("response", {"helicone-omit-response": "true"}, None),
        ("full", {"helicone-omit-request": "1", "helicone-omit-response": "1"}, None),
    ],
)
async def test_what_is_kept_is_what_operator_and_caller_want(kept, controls, sides) -> None:
    content = (await recorded(content=kept, controls=controls)).content
    found = None if content is None else (content.request is not None, content.response is not None)
    assert found == sides


async def test_contents_are_bounded_and_say_so() -> None:
    content = (await recorded(content="full", **{"content-limit": 256})).content
    assert content is not None
    assert content.response is not None
    assert content.response.text is not None
    assert len(content.response.text.encode()) <= 256
    assert content.response.truncated
    assert content.response.size > 256


async def test_a_caller_who_fails_has_asked_all_the_same() -> None:
    async with made(content="full") as pipeline:
        with pytest.raises(PermissionDeniedError):
            await pipeline.complete(**CHAT, principal=Principal("p", models=["other"]))
    (record,) = KEPT
    assert record.content is not None
    assert record.content.request is not None
    assert record.content.response is None


async def test_the_journal_and_the_lines_have_what_is_kept(tmp_path: Path) -> None:
    settings = {
        "providers": {"echo": {}},
        "records": {"content": "full", "journal": {"path": str(tmp_path / "journal")}},
        "loggers": [{"use": "json-lines", "path": str(tmp_path / "lines")}],
    }
    async with Pipeline.from_config(settings, environment={}) as pipeline:
        answer = await pipeline.complete(**CHAT)
    (line,) = (tmp_path / "lines").read_text().splitlines()
    record = Record.from_json(json.loads(line))
    assert record.content == answer.exchange.content
    assert "abcdefghijklmnopqrstuv" not in line


def capture(**said: Any) -> Capture:
    rules = capturing_of(RecordsConfig(**{"content": "full", **said}))
    assert rules is not None
    begun = rules.begin({})
    assert begun is not None
    return begun


def test_what_is_no_text_is_kept_by_digest_and_size() -> None:
    one = capture()
    one.answered(b"\x00\x01" * 5000, "audio/mpeg; rate=1")
    form = attrs.evolve(sample_request(), upload=HeldUpload(b"x" * 30, "multipart/form-data; boundary=y"), body=b"")
    assert one.content(sample_exchange(request=form)) == RecordContent(
        Content(30, media_type="multipart/form-data"),
        Content(10_000, hashlib.sha256(b"\x00\x01" * 5000).hexdigest(), "audio/mpeg"),
    )


def test_a_long_stream_takes_bounded_memory() -> None:
    one = capture(content_limit=1000)
    one.streams("text/event-stream", "openai-chat")
    event = b'data: {"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
    for _ in range(10_000):
        one.sent(event)
    assert one.weight == 16_000
    response = one.content(sample_exchange()).response
    assert response is not None
    assert response.truncated
    assert response.size == len(event) * 10_000
    assert response.text is not None
    assert len(response.text) <= 1000


def test_a_stream_in_no_known_format_is_kept_as_it_came() -> None:
    one = capture()
    one.streams("text/event-stream", "")
    one.sent(b'data: {"password":"x"}\n\n')
    response = one.content(sample_exchange()).response
    assert response is not None
    assert response.text == 'data: {"password":"[redacted]"}\n\n'


def test_tool_calls_and_reasoning_are_put_together() -> None:
    one = capture()
    one.streams("text/event-stream", "openai-chat")
    deltas = [
        {"reasoning_content": "think "},
        {"reasoning_content": "more"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]
    for delta in deltas:
        one.sent(b"data: " + json.dumps({"id": "a", "choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n")
    response = one.content(sample_exchange()).response
    assert response is not None
    assert response.text is not None
    message = json.loads(response.text)["choices"][0]["message"]
    assert message["tool_calls"] == [{"id": "c1", "name": "f", "arguments": '{"a":1}'}]
    assert message["reasoning"] == "think more"


def test_nothing_is_made_where_nothing_is_wanted() -> None:
    assert capturing_of(RecordsConfig()) is None


async def test_the_steps_on_the_way_are_told_where_that_is_wanted() -> None:
    assert (await recorded()).stages == ()
    KEPT.clear()
    record = await recorded(stages=True)
    assert [(one.stage, one.verdict) for one in record.stages] == [
        ("auth", "passed"),
        ("route", "1 found"),
        ("attempt echo/echo", "answered"),
    ]
    assert all(one.microseconds >= 0 for one in record.stages)
