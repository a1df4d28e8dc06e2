from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from llmgate.pipeline.settling import RecordQueue, make_record
from llmgate.spec import (
    Attempt,
    AuthenticationError,
    Deployment,
    Exchange,
    Logger,
    NoConfig,
    Operation,
    Outcome,
    Provider,
    ProviderConnectionError,
    ProviderRow,
    Record,
    Usage,
)


def finished(**fields: Any) -> Exchange:
    exchange = Exchange("id-1", Operation.CHAT, "test", started_at=1_000.0, started=50.0, finished=52.5)
    for name, value in fields.items():
        setattr(exchange, name, value)
    return exchange


class Keeping(Logger[Any]):
    name = "keeping"

    def __init__(self) -> None:
        super().__init__(NoConfig())
        self.kept: list[str] = []
        self.flushes = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, record: Record) -> None:
        await self.gate.wait()
        if record.id == "bad":
            raise OSError("disk full")
        self.kept.append(record.id)

    async def flush(self) -> None:
        self.flushes += 1


def test_a_record_tells_times_from_the_start_of_the_exchange() -> None:
    provider = Provider("p", ProviderRow("p", "P", None), "https://p.test/v1")
    attempt = Attempt(0, Deployment("p/m", provider, "m"), started=50.5, first_content=51.0, finished=52.0, status=200)
    attempt.outcome = Outcome(usage=Usage(3, 2))
    record = make_record(finished(attempts=[attempt], first_content=51.0, status=200, outcome=attempt.outcome))
    assert (record.duration, record.first_content, record.outcome) == (2.5, 1.0, "ok")
    assert (record.attempts[0].started, record.attempts[0].duration) == (0.5, 1.5)
    assert record.provider_name == "p"
    assert record.usage == Usage(3, 2)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"disconnected": True}, "cancelled"),
        ({"error": ProviderConnectionError("gone")}, "error"),
        ({"error": ProviderConnectionError("gone"), "first_content": 51.0}, "incomplete"),
    ],
)
def test_a_record_says_how_the_exchange_ended(fields: dict[str, Any], word: str) -> None:
    assert make_record(finished(**fields)).outcome == word


def test_the_true_reason_of_a_refusal_stands_in_the_record_only() -> None:
    error = AuthenticationError("Invalid credentials", reason="the key expired")
    record = make_record(finished(error=error, status=401))
    assert record.error_message == "the key expired"
    assert "expired" not in str(error)


async def test_a_logger_gets_every_record_and_a_failing_one_is_counted() -> None:
    logger = Keeping()
    queue = RecordQueue("loggers[0]", logger)
    queue.start()
    for name in ("a", "bad", "b"):
        queue.offer(attrs.evolve(make_record(finished()), id=name))
    await queue.aclose()
    assert logger.kept == ["a", "b"]
    assert (queue.failed, queue.dropped) == (1, 0)
    assert logger.flushes >= 1


async def test_a_logger_that_cannot_keep_up_loses_records_and_they_are_counted() -> None:
    logger = Keeping()
    logger.gate.clear()
    queue = RecordQueue("loggers[0]", logger, size=2)
    queue.start()
    for _ in range(10):
        queue.offer(make_record(finished()))
    assert queue.dropped == 8
    logger.gate.set()
    await queue.aclose()
    assert len(logger.kept) == 2


async def test_closing_twice_is_fine_and_so_is_closing_what_never_started() -> None:
    queue = RecordQueue("loggers[0]", Keeping())
    await queue.aclose()
    await queue.aclose()
