"""Requests that are refused before an exchange has begun: all counted, a bounded number recorded."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from end_to_end.loopback import Loopback, loopback, settings_for
from host.stand_ins import StandInPipeline
from llmgate.host.errors import RefusedError
from llmgate.host.refusals import LATER, Refusals, RefusedRequest, from_the_wire
from llmgate.spec import OverloadedError
from llmgate.telemetry.measurements import EXCHANGES, Measure
from llmgate.testing.samples import sample_record
from llmgate.testing.upstream import FakeUpstream

HEAD = b"POST /v1/chat/completions?key=secret HTTP/1.1\r\nHost: localhost\r\n"


def refused(code: str = "invalid_path", status: int = 400) -> RefusedRequest:
    return RefusedRequest(RefusedError(status, "no", code=code), "GET", "/x", "127.0.0.1", age=0.5)


@asynccontextmanager
async def refusing(rate: int):
    pipeline: Any = StandInPipeline()
    async with pipeline:
        refusals = Refusals(pipeline, rate)
        yield refusals, pipeline
        refusals.tell_the_rest()


async def test_so_many_leave_a_record_each_and_the_others_one_for_all():
    async with refusing(10) as (refusals, pipeline):
        ids = [refusals.note(refused()) for _ in range(1000)]
        ids += [refusals.note(refused("not_found", 404)) for _ in range(500)]
        refusals.tell_the_rest()
        await asyncio.sleep(0)
        own = sum(one is not None for one in ids)
        assert 10 <= own <= 15, "ten at once, and what comes back meanwhile"
        told = [(error.code, found.get("refused-alike")) for _, error, found in pipeline.refused]
        assert len(told) == own + 2
        assert [more for _, more in told[:own]] == [None] * own
        assert refusals.counts == {(400, "invalid_path"): 1000, (404, "not_found"): 500}
        assert sum(1 + int(more or 0) for _, more in told) == 1500


async def test_the_others_are_told_after_a_while_by_themselves(monkeypatch):
    monkeypatch.setattr("llmgate.host.refusals.LATER", 0.05)
    async with refusing(1) as (refusals, pipeline):
        for _ in range(5):
            refusals.note(refused())
        async with asyncio.timeout(5):
            while len(pipeline.refused) < 2:
                await asyncio.sleep(0.01)
        assert pipeline.refused[1][2]["refused-alike"] == "3"


async def test_with_no_records_they_are_counted_all_the_same():
    async with refusing(0) as (refusals, pipeline):
        assert refusals.note(refused()) is None
        refusals.on_the_wire(503, HEAD, "127.0.0.1")
        refusals.tell_the_rest()
        await asyncio.sleep(0)
        assert refusals.counts == {(400, "invalid_path"): 1, (503, "overloaded"): 1}
        assert not pipeline.refused


async def test_kinds_are_bounded():
    async with refusing(1) as (refusals, pipeline):
        for number in range(500):
            refusals.note(refused(f"code-{number}"))
        refusals.tell_the_rest()
        await asyncio.sleep(0)
        assert len(pipeline.refused) <= 70
        assert sum(1 + int(told.get("refused-alike", 0)) for _, _, told in pipeline.refused) == 500


async def test_a_flood_on_the_wire_is_looked_at_no_more_once_its_kind_is_known(monkeypatch):
    looked: list[int] = []
    read = from_the_wire
    monkeypatch.setattr("llmgate.host.refusals.from_the_wire", lambda *args: (looked.append(1), read(*args))[1])
    async with refusing(5) as (refusals, _):
        for _ in range(10_000):
            refusals.on_the_wire(503, HEAD + b"\r\n", "127.0.0.1")
        assert len(looked) <= 7
        assert refusals.counts == {(503, "overloaded"): 10_000}


@pytest.mark.parametrize(
    "head", [b"", b"\x16\x03\x01\x02\x00", b"hello\r\n", b"GET /", b"GET / HTTP/1.1", b"GET  / HTTP/1.1\r\n"]
)
def test_what_has_no_first_line_was_no_request(head):
    assert from_the_wire(400, head, "127.0.0.1") is None


def test_the_first_line_tells_method_and_path_and_no_query():
    found = from_the_wire(431, b"\r\n" + HEAD, "::1")
    assert found is not None
    assert (found.method, found.path, found.address) == ("POST", "/v1/chat/completions", "::1")
    assert (found.error.http_status, found.error.code) == (431, "invalid_http")
    overloaded = from_the_wire(503, HEAD, "")
    assert overloaded is not None
    assert isinstance(overloaded.error, OverloadedError)


def test_metrics_count_those_that_a_record_stands_for():
    alike = {"llmgate.refused-alike": "41"}
    counted = [
        one.value
        for one in Measure(9).read(sample_record(surface="host", metadata=alike))
        if one.instrument is EXCHANGES
    ]
    spoofed = [one.value for one in Measure(9).read(sample_record(metadata=alike)) if one.instrument is EXCHANGES]
    assert (counted, spoofed) == ([42], [1])


async def raw(gateway: Loopback, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


WIRE = {
    "folded line": (HEAD + b"X: a\r\n b\r\n\r\n", 400, "invalid_http"),
    "nul": (HEAD + b"X: a\0b\r\n\r\n", 400, "invalid_http"),
    "HTTP/3.0": (HEAD.replace(b"1.1", b"3.0") + b"\r\n", 505, "invalid_http"),
    "small letters": (HEAD.replace(b"POST", b"post") + b"\r\n", 400, "invalid_http"),
    "head without an end": (HEAD + b"X: " + b"a" * 200_000, 431, "invalid_http"),
    "two hosts": (HEAD + b"Host: b\r\nConnection: close\r\n\r\n", 400, None),
    "both lengths": (
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_framing",
    ),
    "bad path": (b"GET /v1/../x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_path"),
    "too many headers": (HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431, "headers_too_large"),
    "foreign page": (HEAD + b"Sec-Fetch-Site: cross-site\r\nConnection: close\r\n\r\n", 403, "cross_site"),
    "nothing there": (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, "not_found"),
}


@pytest.mark.parametrize("name", WIRE)
async def test_each_leaves_one_record_however_far_it_came(name: str):
    data, status, code = WIRE[name]
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        answer = await raw(gateway, data)
        assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:200]
        (record,) = await gateway.recorded(1)
        await asyncio.sleep(0.05)
        assert len(gateway.records) == 1
    assert (record.status, record.surface) == (status, "host" if code != "cross_site" else record.surface)
    assert code is None or record.error_code == code
    assert record.client_address == "127.0.0.1"
    assert record.attempts == ()
    assert "secret" not in repr(record)
    if record.surface == "host":
        assert record.metadata["llmgate.path"] in {"/v1/chat/completions", "/v1/../x", "/nothing"}
        assert record.principal is None


async def test_noise_leaves_nothing():
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        for data in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"hello\r\n\r\n"):
            await raw(gateway, data)
        assert (await gateway.post({"model": "m", "messages": [{"role": "user", "content": "x"}]})).status == 200
        records = await gateway.recorded(1)
    assert [record.status for record in records] == [200]


async def test_a_head_that_does_not_come_is_a_408_in_the_record(monkeypatch):
    monkeypatch.setattr("llmgate.host.connection.HEAD_SECONDS", 0.2)
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        assert await raw(gateway, HEAD) == b""
        assert await raw(gateway, b"") == b""
        (record,) = await gateway.recorded(1)
    assert (record.status, record.error_code) == (408, "head_timeout")


async def test_a_flood_of_garbage_is_a_trickle_of_records():
    settings: dict[str, Any] = {"server": {"refusal-records": 3}}
    began = time.monotonic()
    async with FakeUpstream() as one, loopback(settings_for(one, **settings)) as gateway:
        async with aiohttp.ClientSession() as client:

            async def get() -> None:
                async with client.get(f"http://127.0.0.1:{gateway.port}/nothing") as response:
                    assert response.status == 404

            for _ in range(20):
                await asyncio.gather(*(get() for _ in range(20)))
        before = len(gateway.records)
        seconds = time.monotonic() - began
        assert before <= 3 + 3 * seconds + seconds / LATER, "three a second, and every five seconds what was left over"
    total = sum(1 + int(record.metadata.get("llmgate.refused-alike", 0)) for record in gateway.records)
    assert total == 400


async def test_the_answer_names_the_record():
    async with FakeUpstream() as one, loopback(settings_for(one)) as gateway:
        reply = await gateway.post({}, "/nothing/at/all", x_request_id="mine")
        (record,) = await gateway.recorded(1)
    assert reply.headers["helicone-id"] == record.id
    assert record.client_request_id == "mine"
