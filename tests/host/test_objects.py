"""JSON objects that the gateway reads for itself, at each address that takes one."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from end_to_end.loopback import Loopback, loopback

ADDRESSES = ["/validate-router-config", "/v1/feedback", "/v1/log/request", "/custom/v1/log"]
ALL = [*ADDRESSES, "/v1/traces"]
SMALL = ADDRESSES[:2]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Loopback]:
    loggers = [{"use": "json-lines", "path": str(tmp_path / "records.jsonl")}]
    async with loopback({"providers": {"echo": {}}, "loggers": loggers}) as gateway:
        yield gateway


@pytest.mark.parametrize("path", ADDRESSES)
async def test_only_an_object_that_is_read_in_one_way_is_taken(one: Loopback, path: str) -> None:
    for body in (b"", b"[]", b"{", b"1", b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":{"b":1,"\\u0062":2}}', b"\xff{}"):
        reply = await one.post(body, path)
        assert (reply.status, reply.error["code"]) == (400, "invalid_json"), body
        assert "the body must be " in reply.error["message"]
    reply = await one.post(b"{}", path, content_type="application/octet-stream")
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", SMALL)
async def test_what_is_always_small_may_not_be_large(one: Loopback, path: str) -> None:
    reply = await one.post(b'{"a":"' + b"x" * 200_000 + b'"}', path)
    assert reply.status == 413
    assert "server.max-body-bytes" not in reply.error["message"]


@pytest.mark.parametrize("path", ALL)
async def test_no_object_keeps_the_gateway_busy(one: Loopback, path: str) -> None:
    """Somebody with any key could have stopped it: a million names that are none, and guesses at each."""
    wrong = [f"openia{number}" for number in range(1500)]
    for body in (
        json.dumps({f"load-blance{number}": 1 for number in range(1_000_000)}),
        json.dumps({f"k{number}": 1 for number in range(2000)}),
        json.dumps({"load-balance": {"chat": {"strategy": "latency", "providers": wrong}}}),
        json.dumps({"load-balance": {"chat": {"strategy": "model-latency", "models": [f"{x}/m" for x in wrong]}}}),
        '{"a":' + "[" * 100_000,
        '{"a":[' + "{}," * 3_000_000 + "{}]}",
    ):
        before = time.process_time()
        reply = await one.post(body.encode(), path)
        assert reply.status in {200, 400, 404, 413}
        assert time.process_time() - before < 20, "seconds of work; it was minutes"
