"""One line of JSON a request, whatever the request says."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from host.stand_ins import CHAT, STREAM, StandInPipeline, serving
from llmgate.config.model import ServerConfig
from llmgate.host.access_log import LineFormatter


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
