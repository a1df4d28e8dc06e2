"""One line of JSON a request, whatever the request says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from contextlib import contextmanager

import pytest

from host.stand_ins import CHAT, STREAM, StandInPipeline, serving
from llmgate.config.model import ServerConfig
from llmgate.host.access_log import LineFormatter, LineHandler, access_logger


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "llmgate.access")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "llmgate.access"]


async def test_a_request_is_one_line_of_json(lines):
    async with serving(StandInPipeline()) as served:
        reply = await served.ask("/v1/chat/completions?key=secret", CHAT, x_request_id="mine")
    (line,) = map(json.loads, lines())
    assert line["duration_ms"] >= 0
    assert line["client"] == "127.0.0.1"
    del line["duration_ms"], line["time"], line["client"]
    assert line == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "bytes": len(reply.body),
        "request_id": "mine",
    }


async def test_refused_and_failed_requests_are_logged_with_their_code(lines):
    async with serving(StandInPipeline(keys=["sk"])) as served:
        await served.ask("/v1/models")
        await served.ask("/nowhere")
        await served.ask("/v1//models")
    assert [(line["status"], line["error"]) for line in map(json.loads, lines())] == [
        (401, "invalid_api_key"),
        (404, "not_found"),
        (400, "invalid_path"),
    ]


async def test_no_request_can_forge_a_line(lines):
    hostile = '/v1/x%22,%22status%22:200%e2%80%a8%c2%85%1b[2J%0a{"a":1}' + "y" * 5000
    async with serving(StandInPipeline()) as served:
        await served.ask(hostile, x_request_id='a"b', user_agent='"}\t{')
    (text,) = lines()
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 4000
    assert json.loads(text)["status"] in {400, 404}


async def test_the_log_can_be_switched_off(lines):
    async with serving(StandInPipeline(server=ServerConfig(access_log=False))) as served:
        await served.ask("/v1/chat/completions", STREAM)
    assert lines() == []


def test_a_message_is_one_line_and_a_traceback_is_indented():
    try:
        raise ValueError("first\n2026-01-01 INFO llmgate: forged")
    except ValueError:
        record = logging.LogRecord("llmgate", 40, "", 0, "a\nb\x1b[31m\u2028c %s", ("\rd",), sys.exc_info())
    text = LineFormatter().format(record)
    first, *rest = text.splitlines()
    assert first.endswith("llmgate: a\\nb\\u001b[31m\\u2028c \\rd")
    assert rest
    assert all(line.startswith("    ") for line in rest)


@contextmanager
def alone_on_the_logger():
    """What a handler that stands alone on the logger writes, write by write."""
    writes: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return len(text)

    handler = LineHandler(Stream())
    before = access_logger.handlers, access_logger.propagate, access_logger.level
    access_logger.handlers, access_logger.propagate = [handler], False
    access_logger.setLevel(logging.INFO)
    try:
        yield handler, writes
    finally:
        access_logger.handlers, access_logger.propagate = before[:2]
        access_logger.setLevel(before[2])


async def test_a_handler_alone_on_the_logger_writes_the_same_lines():
    with alone_on_the_logger() as (handler, writes):
        assert handler.alone_on(access_logger)
        async with serving(StandInPipeline()) as served:
            reply = await served.ask("/v1/chat/completions", CHAT, x_request_id="mine")
            await served.ask('/v1/x%22,%22status%22:200%e2%80%a8%0a{"a":1}' + "y" * 5000)
    text = "".join(writes)
    assert text.isascii()
    first, second = map(json.loads, text.splitlines())
    assert first.pop("time") > 1e9
    assert first.pop("duration_ms") >= 0
    assert first == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "bytes": len(reply.body),
        "request_id": "mine",
        "client": "127.0.0.1",
    }
    assert (second["status"], second["error"]) == (400, "invalid_path")


async def test_lines_of_one_turn_of_the_loop_are_writes_that_a_pipe_takes_whole():
    with alone_on_the_logger() as (handler, writes):
        for number in range(3):
            handler.take(f"{number}")
        assert writes == []
        await asyncio.sleep(0)
        assert writes == ["0\n1\n2\n"]
        for _ in range(10):
            handler.take("x" * 1000)
        await asyncio.sleep(0)
    assert "".join(writes[1:]) == ("x" * 1000 + "\n") * 10
    assert max(map(len, writes)) <= 4096


async def test_a_filter_or_another_handler_sees_every_line(lines):
    with alone_on_the_logger() as (handler, writes):
        handler.addFilter(lambda record: "/v1/models" not in record.getMessage())
        async with serving(StandInPipeline()) as served:
            await served.ask("/v1/models")
            await served.ask("/v1/chat/completions", CHAT)
            assert [json.loads(line)["path"] for line in "".join(writes).splitlines()] == ["/v1/chat/completions"]
            access_logger.propagate = True
            await served.ask("/v1/models")
    assert [json.loads(line)["path"] for line in lines()] == ["/v1/models"]


async def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    with alone_on_the_logger() as (handler, _):
        handler.stream.write = None
        async with serving(StandInPipeline()) as served:
            assert (await served.ask("/v1/models")).status == 200
            await asyncio.sleep(0)
            assert (await served.ask("/v1/models")).status == 200
