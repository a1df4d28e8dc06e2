"""What each signal does to a serving process, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from host.stand_ins import until
from llmgate.host import signals as module
from llmgate.host.signals import Signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    return statuses


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether there is a terminal, as the last entry says."""
    there = [False]
    monkeypatch.setattr(module, "_has_terminal", lambda: there[-1])
    monkeypatch.setattr(module, "_write_to_nowhere", lambda _: there.append(False))
    return there


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_stops_and_the_second_ends_at_once(ended: list[int], number: signal.Signals) -> None:
    last_words: list[str] = []
    with Signals(at_once=lambda: last_words.append("bye")) as signals:
        send(number)
        await asyncio.wait_for(signals.stopping.wait(), 5)
        assert not ended
        send(signal.SIGTERM)
        await until(lambda: ended)
    assert ended == [128 + signal.SIGTERM]
    assert last_words == ["bye"]


async def test_handlers_are_as_they_were_afterwards() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with Signals():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before


async def test_hangup_reloads_one_at_a_time_and_once_more_for_those_that_came_meanwhile(terminal: list[bool]) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    begun: list[int] = []

    async def reload() -> None:
        begun.append(len(begun))
        await gates[begun[-1]].wait()

    with Signals(reload) as signals:
        send(signal.SIGHUP)
        await until(lambda: begun == [0])
        for _ in range(5):
            send(signal.SIGHUP)
            await asyncio.sleep(0.01)
        assert begun == [0]
        gates[0].set()
        await until(lambda: begun == [0, 1])
        gates[1].set()
        await asyncio.sleep(0.02)
        assert begun == [0, 1]
        assert not signals.stopping.is_set()


async def test_a_reload_that_fails_leaves_the_next_one_possible(
    terminal: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[int] = []

    async def reload() -> None:
        begun.append(len(begun))
        raise RuntimeError("odd")

    with Signals(reload):
        for count in (1, 2):
            send(signal.SIGHUP)
            await until(lambda count=count: len(begun) == count)
            await asyncio.sleep(0.01)
    assert caplog.text.count("could not be read again") == 2


async def test_hangup_without_a_reload_stops(terminal: list[bool], ended: list[int]) -> None:
    with Signals() as signals:
        send(signal.SIGHUP)
        await asyncio.wait_for(signals.stopping.wait(), 5)
        send(signal.SIGHUP)
        await asyncio.sleep(0.02)
        assert not ended, "a terminal says it twice"


async def test_a_terminal_that_is_gone_stops_and_one_that_is_there_reloads(terminal: list[bool]) -> None:
    reloads: list[int] = []

    async def reload() -> None:
        reloads.append(1)

    terminal.append(True)
    with Signals(reload) as signals:
        send(signal.SIGHUP)
        await until(lambda: reloads)
        assert not signals.stopping.is_set()
        terminal.append(False)
        send(signal.SIGHUP)
        await asyncio.wait_for(signals.stopping.wait(), 5)
        assert len(terminal) == 4, "what it writes goes nowhere"
        assert len(reloads) == 1


async def test_under_nohup_a_hangup_is_a_reload_or_nothing(terminal: list[bool]) -> None:
    reloads: list[int] = []

    async def reload() -> None:
        reloads.append(1)

    terminal.append(True)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as signals:
            send(signal.SIGHUP)
            await asyncio.sleep(0.02)
            assert not signals.stopping.is_set()
        with Signals(reload) as signals:
            terminal.append(False)
            send(signal.SIGHUP)
            await until(lambda: reloads)
            assert not signals.stopping.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_reload_that_still_runs_at_the_end_is_given_up(terminal: list[bool]) -> None:
    given_up: list[bool] = []

    async def reload() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(True)
            raise

    with Signals(reload) as signals:
        send(signal.SIGHUP)
        await until(lambda: signals._reloading)
        await asyncio.sleep(0.01)
    await until(lambda: given_up)


def test_output_to_a_lost_terminal_goes_nowhere(tmp_path: Any) -> None:
    path = tmp_path / "terminal"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        module._write_to_nowhere([descriptor])
        os.write(descriptor, b"lost")
    finally:
        os.close(descriptor)
    assert path.read_bytes() == b""
