from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.pipeline.deadline import Deadline
from llmgate.spec import GatewayError, GatewayTimeoutError, ProviderConnectionError
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_exchange


class Frame:
    """As much of an exchange's frame as a deadline asks for."""

    def __init__(self, seconds: float) -> None:
        self.clock = FakeClock()
        self.exchange = sample_exchange(started=self.clock.monotonic())
        self.errors: list[GatewayError] = []
        self._seconds = seconds

    def remaining(self) -> float:
        return self._seconds

    def failed(self, error: GatewayError) -> GatewayError:
        self.errors.append(error)
        return error


def deadline(seconds: float) -> tuple[Deadline, Frame]:
    frame: Any = Frame(seconds)
    return Deadline(frame), frame


async def never() -> bytes:
    await asyncio.get_running_loop().create_future()
    raise AssertionError


async def test_what_comes_in_time_is_handed_on() -> None:
    limit, frame = deadline(60)

    async def piece() -> bytes:
        return b"piece"

    assert await limit.read(piece) == b"piece"
    assert not limit.is_over()
    assert frame.errors == []
    limit.cancel()


async def test_who_waits_too_long_is_woken_and_the_exchange_is_told() -> None:
    limit, frame = deadline(0.01)
    with pytest.raises(GatewayTimeoutError, match="not finished within") as caught:
        await asyncio.wait_for(limit.read(never), 5)
    assert frame.errors == [caught.value]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the task is not left half cancelled"


async def test_once_it_is_over_nothing_is_read() -> None:
    limit, _ = deadline(0)
    await asyncio.sleep(0.01)
    read = []

    async def piece() -> None:
        read.append(1)

    with pytest.raises(GatewayTimeoutError):
        await limit.read(piece)
    assert read == []


async def test_a_failure_is_told_to_the_exchange_and_raised() -> None:
    limit, frame = deadline(60)
    lost = ProviderConnectionError("lost", provider_name="alpha")

    async def fails() -> None:
        raise lost

    with pytest.raises(ProviderConnectionError):
        await limit.read(fails)
    assert frame.errors == [lost]
    limit.cancel()


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    limit, frame = deadline(60)
    reading = asyncio.ensure_future(limit.read(never))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert frame.errors == []
    limit.cancel()


async def test_a_cancelled_deadline_disturbs_nobody() -> None:
    limit, _ = deadline(0.01)
    limit.cancel()
    limit.cancel()
    await asyncio.sleep(0.05)
    assert not limit.is_over()
