"""Clients that leave, at every moment and in every way, and clients that stay and do not read.

For every call that was admitted there is exactly one record, the provider is not kept talking to nobody, and the
gateway serves the next request as if nothing had happened.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from end_to_end.loopback import MESSAGES, Loopback, RawClient, loopback, request_bytes, settings_for
from llmgate.spec import AuthProvider, Interceptor, Principal, Record, hookimpl
from llmgate.testing.upstream import FakeUpstream, ReceivedRequest, UpstreamConnection, chat_events

SERVERS = ("hypercorn", "uvicorn")

HEARTBEAT = 0.3
TEXT = "one two three four five six"
CHAT = {"model": "m", "messages": [{"role": "user", "content": TEXT}]}
STREAM = {**CHAT, "stream": True}
LEAVE: dict[str, Callable[[RawClient], None]] = {
    "fin": RawClient.fin,
    "rst": RawClient.rst,
    "half-close": RawClient.half_close,
}
QUICKLY = 1.0
"""Seconds within which the provider is let go of; a busy machine gets as much again."""


def slow_plugin(counts: Counter[str]) -> object:
    """Stages that take their time, and count."""

    class SlowAuth(AuthProvider[Any]):
        name = "slow-auth"

        async def authenticate(self, credentials: Any) -> Principal:
            await asyncio.sleep(0.1)
            return Principal(id="somebody")

    class SlowSteps(Interceptor[Any]):
        name = "slow-steps"

        async def before_request(self, exchange: Any, request: Any) -> None:
            counts["reserved"] += 1
            await asyncio.sleep(0.1)

        async def before_attempt(self, exchange: Any, attempt: Any) -> bool:
            counts["started"] += 1
            return True

        async def after_attempt(self, exchange: Any, attempt: Any) -> None:
            await asyncio.sleep(0.02)
            counts["finished"] += 1

        async def on_settle(self, exchange: Any) -> None:
            await asyncio.sleep(0.1)
            counts["released"] += 1

    class Plugin:
        @hookimpl
        def llmgate_register_auth_providers(self) -> type[SlowAuth]:
            return SlowAuth

        @hookimpl
        def llmgate_register_interceptors(self) -> type[SlowSteps]:
            return SlowSteps

    return Plugin()


@asynccontextmanager
async def opened(
    *plugins: object, send_buffer: int | None = None, **sections: Any
) -> AsyncIterator[tuple[Loopback, FakeUpstream]]:
    stream = {"heartbeat": f"{HEARTBEAT:g}s", "commit-after": f"{HEARTBEAT:g}s"}
    async with (
        FakeUpstream() as one,
        loopback(settings_for(one, stream=stream, **sections), plugins=plugins, send_buffer=send_buffer) as gateway,
    ):
        yield gateway, one


async def steady(request: ReceivedRequest, connection: UpstreamConnection) -> None:
    """Answer slowly, word by word; a whole answer comes slowly, too."""
    if not request.json().get("stream"):
        await connection.write_head(200, {"content-type": "application/json", "content-length": "100000"})
        while True:
            await connection.write(b" ")
            await asyncio.sleep(0.02)
    await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
    for _ in range(1000):
        for event in chat_events(TEXT)[:-1]:
            await connection.write_chunk(b"data: " + json.dumps(event).encode() + b"\n\n")
            await asyncio.sleep(0.02)


async def let_go(one: FakeUpstream, seconds: float) -> None:
    """Wait until the provider talks to nobody; it must not take longer than so many seconds, and as many again."""
    await one.idle(timeout=2 * seconds)


def cancelled_once_each(records: list[Record], names: list[str]) -> None:
    assert Counter(record.client_request_id for record in records) == Counter(names)
    assert {record.outcome for record in records} == {"cancelled"}
    assert {record.status for record in records} == {499}


def nothing_went_wrong(caplog: pytest.LogCaptureFixture) -> None:
    gc.collect()  # a task that failed unnoticed says so when it is collected
    assert [line for line in caplog.records if line.exc_info or line.levelname in {"ERROR", "CRITICAL"}] == []


async def still_serves(gateway: Loopback, body: dict[str, Any] = CHAT) -> None:
    reply = await gateway.post(body, x_request_id="afterwards")
    assert reply.status == 200


@attrs.frozen
class Leaver:
    """A client that leaves.

    Args:
        name: Its request id.
        body: What it asks.
        wait: Bytes of the answer that it waits for, 0 for none.
        pause: Seconds that it waits beside.
        way: How it leaves.
        stray: Whether a stray line end follows its request, which hides a departure from some servers.
    """

    name: str
    body: dict[str, Any]
    wait: int
    pause: float
    way: str
    stray: bool = False

    async def run(self, gateway: Loopback) -> RawClient:
        data = request_bytes(self.body, headers=f"X-Request-Id: {self.name}\r\n")
        client = await gateway.raw(data + (b"\r\n" if self.stray else b""))
        await client.read(self.wait)
        await asyncio.sleep(self.pause)
        LEAVE[self.way](client)
        return client


def leavers() -> list[Leaver]:
    """A hundred: each way of leaving, at every moment of a stream and of a whole answer."""
    moments = [(0, pause) for pause in (0.0, 0.001, 0.01, 0.05)]
    moments += [(count, 0.0) for count in (1, 12, 40, 100, 200, 300, 400, 500, 600, 700, 900, 1200, 1500, 2000, 2500)]
    found = [
        Leaver(f"s-{way}-{count}-{int(pause * 1000)}", STREAM, count, pause, way)
        for way in LEAVE
        for count, pause in moments
    ]
    found += [
        Leaver(f"w-{way}-{int(pause * 1000)}-{stray}", CHAT, 0, pause, way, stray)
        for way in LEAVE
        for pause in (0.0, 0.01, 0.05, 0.2)
        for stray in (False, True)
    ]
    return found + [
        Leaver(f"c-{way}-{count}", STREAM, count, 0.0, way, stray=True)
        for way in LEAVE
        for count in (0, 1, 200, 400, 800, 1500)
    ]


@pytest.mark.parametrize("collecting", [True, False], ids=["gc", "no-gc"])
async def test_a_hundred_clients_leave_at_every_moment_and_in_every_way(
    collecting: bool, caplog: pytest.LogCaptureFixture
) -> None:
    everybody = leavers()
    assert len(everybody) >= 99
    if not collecting:
        gc.disable()  # nothing may hang on the garbage collector
    try:
        async with opened() as (gateway, one):
            one.script(steady, times=len(everybody))
            await asyncio.gather(*(leaver.run(gateway) for leaver in everybody))
            await let_go(one, QUICKLY)
            records = await gateway.recorded(len(everybody))
            cancelled_once_each(records, [leaver.name for leaver in everybody])
            one._script.clear()
            await still_serves(gateway)
    finally:
        gc.enable()
    nothing_went_wrong(caplog)


@pytest.mark.parametrize("way", ["fin", "rst"])
@pytest.mark.parametrize("body", [STREAM, CHAT], ids=["stream", "whole"])
async def test_a_client_leaves_after_any_byte_of_the_answer(way: str, body: dict[str, Any]) -> None:
    """Whoever has had it all is served, whoever has not is gone; there is one record of each, and never both."""
    async with opened() as (gateway, one):
        names = []

        async def leave_after(count: int) -> bytes:
            names.append(f"n{count}")
            headers = f"X-Request-Id: n{count}\r\nConnection: close\r\n"
            client = await gateway.raw(request_bytes(body, headers=headers))
            received = await client.read(count)
            LEAVE[way](client)
            return received

        total = len(await leave_after(1_000_000))
        for count in range(1, total, total // 25):
            await leave_after(count)
        await let_go(one, QUICKLY)
        records = await gateway.recorded(len(names))
        assert Counter(record.client_request_id for record in records) == Counter(names)
        assert {record.outcome for record in records} <= {"ok", "cancelled"}
        assert records[0].outcome == "ok"
        await still_serves(gateway)


@pytest.mark.parametrize("way", list(LEAVE))
async def test_leaving_during_the_upload_of_the_body(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """An admitted call leaves a record, a head that never ends is no call, and no provider hears of either."""
    async with opened() as (gateway, one):
        names = []
        clients = []
        for share in (0.0, 0.01, 0.5, 0.99):
            name = f"u{int(share * 100)}"
            data = request_bytes({**CHAT, "padding": "x" * 50_000}, headers=f"X-Request-Id: {name}\r\n")
            head = data.index(b"\r\n\r\n") + 4
            names.append(name)
            clients.append(await gateway.raw(data[: head + int(share * (len(data) - head))]))
        clients.append(await gateway.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConte"))
        await asyncio.sleep(0.05)
        for client in clients:
            LEAVE[way](client)
        cancelled_once_each(await gateway.recorded(len(names)), names)
        assert one.requests == []
        await still_serves(gateway)
    nothing_went_wrong(caplog)


@pytest.mark.parametrize("way", list(LEAVE))
async def test_leaving_during_login_reservation_and_settling_releases_everything(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    sections = {"auth": [{"use": "slow-auth"}], "interceptors": [{"use": "slow-steps"}]}
    steps: Counter[str] = Counter()
    async with opened(slow_plugin(steps), **sections) as (gateway, one):
        moments = [(0, pause) for pause in (0.0, 0.03, 0.07, 0.12, 0.15, 0.18, 0.21)]
        everybody = [
            Leaver(f"{kind}-{count}-{int(pause * 100)}", body, count, pause, way)
            for kind, body, late in (("s", STREAM, (300, 900)), ("w", CHAT, (20, 300)))
            for count, pause in [*moments, *((count, 0.0) for count in late)]
        ]
        await asyncio.gather(*(leaver.run(gateway) for leaver in everybody))
        records = await gateway.recorded(len(everybody))
        assert Counter(record.client_request_id for record in records) == Counter(one.name for one in everybody)
        assert {record.outcome for record in records} <= {"ok", "cancelled"}
        assert "cancelled" in {record.outcome for record in records}
        assert steps["released"] == steps["reserved"]
        assert steps["finished"] == steps["started"]
        await let_go(one, QUICKLY)
    nothing_went_wrong(caplog)


@pytest.mark.parametrize("stray", [False, True], ids=["plain", "after a stray line end"])
@pytest.mark.parametrize("phase", ["before the headers", "between two events"])
@pytest.mark.parametrize("way", list(LEAVE))
async def test_leaving_while_the_provider_is_silent(way: str, phase: str, stray: bool) -> None:
    """Closed within a second in the plain case, and within a heartbeat more where the departure is hidden."""
    async with opened() as (gateway, one):
        if phase == "between two events":
            one.stream(chat_events(TEXT)[:3], end="hang")
        else:
            one.hang()
        data = request_bytes(STREAM, headers="X-Request-Id: gone\r\n") + (b"\r\n" if stray else b"")
        client = await gateway.raw(data)
        await one.received()
        if phase == "between two events":
            await client.read_until(b"two")
        LEAVE[way](client)
        await let_go(one, QUICKLY + (HEARTBEAT if stray else 0))
        (record,) = await gateway.recorded()
        assert (record.outcome, record.client_request_id) == ("cancelled", "gone")
        assert [attempt.abandoned for attempt in record.attempts] == [True]


async def test_a_pipelined_request_hides_no_departure() -> None:
    async with opened() as (gateway, one):
        one.hang()
        client = await gateway.raw(request_bytes(STREAM, headers="X-Request-Id: gone\r\n") + request_bytes(STREAM))
        await one.received()
        client.rst()
        await let_go(one, QUICKLY + HEARTBEAT)
        assert (await gateway.recorded())[0].outcome == "cancelled"


async def test_in_process_a_caller_that_gives_up_closes_the_provider() -> None:
    async with opened() as (gateway, one):
        one.script(steady, times=4)

        async def reads_one() -> None:
            async with gateway.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
                async for _ in chunks:
                    break

        await reads_one()
        for make in (
            lambda: gateway.pipeline.complete(router="main", model="m", messages=MESSAGES),
            reads_all(gateway),
        ):
            task = asyncio.create_task(make())
            await one.received(len(one.requests) + 1)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await let_go(one, QUICKLY)
        assert [record.outcome for record in await gateway.recorded(3)] == ["cancelled"] * 3
        one._script.clear()
        await still_serves(gateway)


def reads_all(gateway: Loopback) -> Callable[[], Any]:
    async def read() -> None:
        async with gateway.pipeline.stream(router="main", model="m", messages=MESSAGES) as chunks:
            async for _ in chunks:
                pass

    return read


# --- clients that stay and do not read -------------------------------------------------------------------------------

READERS = 20
PIECE = b"data: " + json.dumps(chat_events("x" * 8000)[1]).encode() + b"\n\n"
PER_STREAM = 256 * 1024
OF_THE_PROVIDER = 80 * 1024
"""What the fake provider itself holds of a stream that it cannot get rid of: it runs in this process, too."""
KERNEL = 32 * 1024
"""Bytes that the kernel keeps on each side, so that little has to be sent before somebody notices."""


class FireHose:
    """Sends as fast as it can, without end, and counts."""

    def __init__(self) -> None:
        self.sent = 0

    async def __call__(self, request: ReceivedRequest, connection: UpstreamConnection) -> None:
        connection.limit_buffer(KERNEL)
        await connection.write_head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        while True:
            await connection.write_chunk(PIECE)
            self.sent += len(PIECE)
            await asyncio.sleep(0)


async def at_rest(hose: FireHose) -> None:
    """Wait until the provider has been stopped."""
    async with asyncio.timeout(10):
        before = -1
        while hose.sent != before or not hose.sent:
            before = hose.sent
            await asyncio.sleep(0.15)


async def test_clients_that_do_not_read_hold_the_provider_back_and_cost_little(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hose = FireHose()
    async with opened(server={"send-timeout": "4s"}, send_buffer=KERNEL) as (gateway, one):
        await still_serves(gateway)
        one.script(hose, times=READERS)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            clients = [await gateway.raw(request_bytes(STREAM), receive_buffer=8192) for _ in range(READERS)]
            await at_rest(hose)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak - before < READERS * (PER_STREAM + OF_THE_PROVIDER) + 1024 * 1024
        assert hose.sent > READERS * PER_STREAM, "the provider had more to say than is kept"
        assert one.busy_connections == READERS, "nobody has been given up yet"
        await one.idle(timeout=10)
        records = await gateway.recorded(READERS + 1)
        assert Counter(record.outcome for record in records) == {"ok": 1, "cancelled": READERS}
        await still_serves(gateway)
        for client in clients:
            client.fin()
    nothing_went_wrong(caplog)


async def test_a_client_that_reads_again_gets_everything() -> None:
    """A pause shorter than the bound loses nothing."""
    words = [f"w{number}" for number in range(20_000)]
    async with opened(server={"send-timeout": "5s"}) as (gateway, one):
        one.stream(chat_events(" ".join(words)))
        data = request_bytes(STREAM, headers="Connection: close\r\n")
        client = await gateway.raw(data, receive_buffer=8192)
        await one.received()
        await asyncio.sleep(0.5)
        body = await client.read(100_000_000, seconds=20)
        assert b"[DONE]" in body[-100:]
        assert b'" w19999"' in body
        assert (await gateway.recorded())[0].outcome == "ok"
