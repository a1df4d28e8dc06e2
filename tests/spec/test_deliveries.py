"""Loggers that send batches: in order, whole, again when they are not taken, and never more than is allowed to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from llmgate.spec import (
    Batching,
    BatchLogger,
    DeliveryError,
    Entry,
    NoConfig,
    ProviderConnectionError,
    ProviderProtocolError,
    ProviderResponse,
    ProviderTimeoutError,
    Record,
    RecordService,
    a_service,
)
from llmgate.testing import FakeClock, ScriptedTransport
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record


class Sender(BatchLogger[NoConfig]):
    """Sends to a list; ``failures`` are raised first, ``poison`` is refused wherever it is."""

    name = "sender"

    def __init__(self, batching: Batching | None = None) -> None:
        super().__init__(NoConfig())
        self.bounds = batching or Batching()
        self.sent: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.poison: set[str] = set()
        self.gate: asyncio.Event | None = None

    @property
    def batching(self) -> Batching:
        return self.bounds

    def encode(self, record: Record) -> bytes:
        return record.id.encode() + b"x" * len(record.metadata.get("filling", ""))

    async def send(self, entries: Sequence[Entry]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        if self.poison & {entry.id for entry in entries}:
            raise DeliveryError("no", unacceptable=True)
        self.sent.append([entry.id for entry in entries])

    @property
    def arrived(self) -> list[str]:
        return [one for batch in self.sent for one in batch]


async def opened(tmp_path: Path, batching: Batching | None = None) -> tuple[Sender, FakeClock]:
    clock = FakeClock()
    sender = Sender(batching)
    await sender.open(LoggerConformance().make_context(tmp_path, clock))
    return sender, clock


async def given(sender: Sender, count: int, **fields: Any) -> list[str]:
    records = [sample_record(**fields) for _ in range(count)]
    for record in records:
        await sender.record(record)
    return [record.id for record in records]


async def test_batches_are_as_large_as_they_may_be_and_in_order(tmp_path):
    sender, _ = await opened(tmp_path, Batching(records=4))
    ids = await given(sender, 3)
    assert sender.sent == [], "a batch that is not full waits for flush"
    ids += await given(sender, 8)
    await sender.flush()
    assert [len(batch) for batch in sender.sent] == [4, 4, 3]
    assert sender.arrived == ids


async def test_bytes_fill_a_batch_too(tmp_path):
    sender, _ = await opened(tmp_path, Batching(size=1024))
    ids = await given(sender, 3, metadata={"filling": "y" * 500})
    ids += await given(sender, 1, metadata={"filling": "y" * 5000})
    await sender.flush()
    assert sender.arrived == ids
    assert [len(batch) for batch in sender.sent] == [1, 1, 1, 1], "each two would be more than a batch holds"


async def test_what_is_not_taken_is_sent_again_before_what_came_later(tmp_path):
    sender, clock = await opened(tmp_path)
    sender.failures = [DeliveryError("down"), DeliveryError("down")]
    ids = await given(sender, 2)
    with pytest.raises(DeliveryError, match="down"):
        await sender.flush()
    ids += await given(sender, 1)
    await asyncio.sleep(0)
    assert clock.sleeping == 1
    await clock.advance(0.5)
    assert sender.sent == []
    await clock.advance(1.0)
    assert sender.arrived == ids
    await sender.aclose()
    assert clock.sleeping == 0


async def test_pauses_double_up_to_the_longest_and_a_service_may_ask_for_one(tmp_path):
    sender, clock = await opened(tmp_path, Batching(pause=3.0))
    sender.failures = [DeliveryError("down") for _ in range(5)]
    await given(sender, 1)
    with pytest.raises(DeliveryError):
        await sender.flush()
    await asyncio.sleep(0)
    for longest in (0.5, 1.0, 2.0, 3.0, 3.0):
        left = len(sender.failures)
        await clock.advance(longest / 2 - 0.01)
        assert len(sender.failures) == left, "half of the pause is the least"
        await clock.advance(longest / 2 + 0.01)
        assert len(sender.failures) == left - 1 or sender.sent
    sender.failures = [DeliveryError("slow down", pause=2.0)]
    await given(sender, 1)
    with pytest.raises(DeliveryError):
        await sender.flush()
    await asyncio.sleep(0)
    await clock.advance(1.9)
    assert len(sender.sent) == 1
    await clock.advance(0.2)
    assert len(sender.sent) == 2
    await sender.aclose()


@pytest.mark.parametrize("count", [1, 2, 7, 16])
async def test_a_record_that_is_refused_for_what_is_in_it_holds_up_no_other(tmp_path, count):
    sender, _ = await opened(tmp_path)
    records = [sample_record() for _ in range(count)]
    sender.poison = {records[count // 2].id}
    for record in records:
        await sender.record(record)
    await sender.flush()
    assert sender.arrived == [record.id for record in records if record.id not in sender.poison]
    assert sender.refused == 1


async def test_only_so_many_wait(tmp_path):
    sender, _ = await opened(tmp_path, Batching(waiting=3))
    sender.failures = [DeliveryError("down") for _ in range(9)]
    ids = await given(sender, 3)
    with pytest.raises(DeliveryError, match=r"loggers\[0\]: too many records wait: 3"):
        await given(sender, 1)
    sender.failures = []
    await sender.flush()
    assert sender.arrived == ids
    sender.bounds = Batching(waiting_size=1024)
    await given(sender, 1, metadata={"filling": "y" * 2000})
    with pytest.raises(DeliveryError, match="too many"):
        await given(sender, 1)


async def test_what_comes_again_is_not_kept_as_well(tmp_path):
    """A journal brings it again; what waited from before would be sent twice."""
    sender, clock = await opened(tmp_path)
    sender.failures = [DeliveryError("down")]
    records = [sample_record() for _ in range(3)]
    for record in records:
        await sender.record(record)
    with pytest.raises(DeliveryError):
        await sender.flush()
    await sender.expect_repeats()
    for record in records:
        await sender.record(record)
    await sender.flush()
    await clock.advance(60)
    assert sender.arrived == [record.id for record in records]


async def test_cancelled_while_sending_nothing_is_lost(tmp_path):
    sender, _ = await opened(tmp_path)
    ids = await given(sender, 2)
    sender.gate = asyncio.Event()
    sending = asyncio.create_task(sender.flush())
    await asyncio.sleep(0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    sender.gate.set()
    await sender.flush()
    assert sender.arrived == ids


async def test_closing_sends_what_waits_even_while_a_pause_lasts(tmp_path):
    sender, clock = await opened(tmp_path)
    sender.failures = [DeliveryError("down", pause=30)]
    ids = await given(sender, 2)
    with pytest.raises(DeliveryError):
        await sender.flush()
    await asyncio.sleep(0)
    await sender.aclose()
    assert sender.arrived == ids
    assert clock.sleeping == 0


async def test_closing_tells_what_is_lost(tmp_path, caplog):
    sender, _ = await opened(tmp_path)
    sender.failures = [DeliveryError("down") for _ in range(9)]
    await given(sender, 2)
    await sender.aclose()
    assert "loggers[0]: 2 records are not delivered: down" in caplog.text


def service(*answers: Any) -> tuple[RecordService, ScriptedTransport]:
    transport = ScriptedTransport(answers)
    return RecordService("the sink", transport, FakeClock(), 2.0), transport


async def test_a_service_is_asked_within_bounds():
    sink, transport = service(ProviderResponse(204, {}, b""))
    await sink.send("POST", "https://sink.test:8443/a?b=c", {"x-key": "canary"}, b"secret canary")
    (request,) = transport.requests
    assert request.origin == "https://sink.test:8443"
    assert (request.timeouts.connect, request.timeouts.first_byte, request.timeouts.idle) == (2.0, 2.0, 2.0)
    assert "canary" not in repr(request)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ProviderTimeoutError("x"), "the sink does not answer in time"),
        (ProviderConnectionError("x", code="refused"), r"the sink cannot be reached \(refused\)"),
        (ProviderProtocolError("x", code="not_http"), r"the sink cannot be understood \(not_http\)"),
        (ProviderResponse(302, {"location": "https://elsewhere.test"}, b""), "the sink answers 302"),
        (ProviderResponse(401, {}, b"canary"), "the sink answers 401$"),
        (ProviderResponse(503, {}, b""), "the sink answers 503"),
    ],
)
async def test_every_failure_is_named(failure, words):
    with pytest.raises(DeliveryError, match=words) as caught:
        await service(failure)[0].send("POST", "https://sink.test/", {}, b"")
    assert not caught.value.unacceptable


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_some_statuses_speak_of_what_was_sent(status):
    with pytest.raises(DeliveryError, match=f"answers {status}: bad one$") as caught:
        sink, _ = service(ProviderResponse(status, {}, b"bad\none\x00"))
        await attrs.evolve(sink, reason=lambda answer: answer.body.decode()).send("POST", "https://sink.test/", {}, b"")
    assert caught.value.unacceptable


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2022 22:13:50 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 400, None),
        ("\u0667", None),
        ("", None),
    ],
)
async def test_a_service_may_ask_for_a_pause(value, pause):
    with pytest.raises(DeliveryError) as caught:
        await service(ProviderResponse(429, {"retry-after": value}, b""))[0].send("POST", "https://sink.test/", {}, b"")
    assert caught.value.pause == pause


@attrs.frozen
class Config:
    url: str | None = attrs.field(default=None, validator=a_service)


@pytest.mark.parametrize(
    "url", [None, "https://a.test/x?y=z", "http://127.0.0.1:8123", "http://[::1]", "http://localhost"]
)
def test_addresses_that_may_be_sent_to(url):
    assert Config(url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test",
        "ftp://a.test",
        "https://",
        "https://u:p@a.test",
        "https://a.test:x",
        "https://a.test:99999",
        "https://[::1",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(ValueError, match="url: write https://HOST"):
        Config(url)


@pytest.mark.parametrize("url", ["http://a.test", "http://10.0.0.1", "http://localhost.a.test"])
def test_nothing_goes_over_a_network_in_clear(url):
    with pytest.raises(ValueError, match="without TLS"):
        Config(url)
