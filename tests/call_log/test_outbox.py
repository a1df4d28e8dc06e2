from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llmgate.call_log.delivery import Delivery, Line, Reply, Verdict
from llmgate.call_log.outbox import Counts, Outbox

TAKEN = Reply(Verdict.TAKEN)
AWAY = Reply(Verdict.LATER, "away")
BROKEN = Reply(Verdict.BROKEN, "500 broken")
SECONDS = 10


class Gateway:
    """Stands for a connection: answers in turn, the last answer for good; holds all back while it is shut."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.sent: list[bytes] = []
        self.lines = self.closed = 0
        self.open, self.asked = threading.Event(), threading.Semaphore(0)
        self.open.set()

    def connect(self) -> Any:
        self.lines += 1
        return self

    def send(self, body: bytes) -> Reply:
        self.sent.append(body)
        self.asked.release()
        assert self.open.wait(SECONDS)
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def close(self) -> None:
        self.closed += 1


def outbox(gateway: Gateway, **bounds: Any) -> Outbox:
    quick = {"connections": 1, "first_wait": 0.001, "longest_wait": 0.002, **bounds}
    connect: Callable[[], Line] = gateway.connect
    return Outbox(Delivery(**quick), connect)


def finished(box: Outbox) -> Counts:
    box.flush().result(SECONDS)
    counts = box.counts
    box.end().result(SECONDS)
    return counts


def test_calls_are_told_in_order_by_one_thread():
    gateway = Gateway(TAKEN)
    box = outbox(gateway)
    bodies = [b"%d" % number for number in range(20)]
    assert all(box.put(body) for body in bodies)
    assert finished(box) == Counts(0, 20, 0)
    assert gateway.sent == bodies
    assert gateway.lines == gateway.closed == 1


def test_as_many_at_once_as_there_may_be():
    gateway = Gateway(TAKEN)
    gateway.open.clear()
    box = outbox(gateway, connections=3)
    assert all(box.put(b"x") for _ in range(10))
    for _ in range(3):
        assert gateway.asked.acquire(timeout=SECONDS)
    assert not gateway.asked.acquire(blocking=False)
    assert box.counts == Counts(10, 0, 0)
    gateway.open.set()
    assert finished(box) == Counts(0, 10, 0)
    assert gateway.lines == 3


def test_a_gateway_that_is_away_is_asked_until_it_is_back():
    gateway = Gateway(*[AWAY] * 12, TAKEN)
    box = outbox(gateway)
    assert box.put(b"1")
    assert finished(box) == Counts(0, 1, 0)
    assert gateway.sent == [b"1"] * 13


@pytest.mark.parametrize(
    ("replies", "tries"), [([BROKEN], 5), ([AWAY, AWAY, BROKEN], 7), ([Reply(Verdict.REFUSED, "400")], 1)]
)
def test_a_call_that_cannot_be_taken_does_not_hold_up_the_others(replies: Sequence[Reply], tries: int, caplog):
    gateway = Gateway(*replies)
    box = outbox(gateway)
    gateway.open.clear()
    assert box.put(b"bad")
    assert gateway.asked.acquire(timeout=SECONDS)
    gateway.open.set()
    box.flush().result(SECONDS)
    gateway.replies = [TAKEN]
    assert box.put(b"good")
    assert finished(box) == Counts(0, 1, 1)
    assert gateway.sent == [b"bad"] * tries + [b"good"]
    assert "gateway" in caplog.text


def test_a_call_that_waits_for_too_long_is_dropped(caplog):
    gateway = Gateway(AWAY)
    box = outbox(gateway, max_age=1e-9)
    assert box.put(b"1")
    assert finished(box) == Counts(0, 0, 1)
    assert "away" in caplog.text


@pytest.mark.parametrize("bounds", [{"max_calls": 2}, {"max_bytes": 20}])
def test_what_has_no_room_is_dropped_and_counted_and_said_once(bounds: dict[str, int], caplog):
    gateway = Gateway(TAKEN)
    gateway.open.clear()
    box = outbox(gateway, **bounds)
    assert [box.put(b"x" * 10) for _ in range(5)] == [True, True, False, False, False]
    assert box.counts == Counts(2, 0, 3)
    assert len(caplog.records) == 1
    gateway.open.set()
    box.flush().result(SECONDS)
    assert box.put(b"x" * 10)
    assert finished(box) == Counts(0, 3, 3)


def test_flushing_tries_at_once_what_waits_for_a_repeat():
    gateway = Gateway(AWAY, TAKEN)
    box = outbox(gateway, first_wait=3600, longest_wait=3600)
    assert box.put(b"1")
    assert gateway.asked.acquire(timeout=SECONDS)
    while box.counts.waiting:  # a flush that comes before the thread has begun to wait wakes nobody
        box.flush()
    assert finished(box) == Counts(0, 1, 0)


def test_closing_drops_what_waits_and_ends_the_threads(caplog):
    gateway = Gateway(AWAY)
    box = outbox(gateway, first_wait=3600, longest_wait=3600)
    idle = [box.flush()]
    assert all(box.put(b"%d" % number) for number in range(3))
    assert gateway.asked.acquire(timeout=SECONDS)
    idle.append(box.flush())
    box.end().result(SECONDS)
    for one in idle:
        one.result(SECONDS)
    assert box.counts == Counts(0, 0, 3)
    assert gateway.closed == gateway.lines == 1
    assert not box.put(b"4")
    box.end().result(SECONDS)
    assert "2 calls are not recorded" in caplog.text


def test_a_thread_outlives_a_fault_of_its_own():
    class Faulty(Gateway):
        def send(self, body: bytes) -> Reply:
            if body == b"bad":
                raise RuntimeError("no idea")
            return super().send(body)

    gateway = Faulty(TAKEN)
    box = outbox(gateway)
    assert box.put(b"bad")
    assert box.put(b"good")
    assert finished(box) == Counts(0, 1, 1)
    assert gateway.lines == 1


def test_a_call_outlives_a_thread_that_cannot_be_had(monkeypatch):
    gateway = Gateway(TAKEN)
    box = outbox(gateway)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        assert box.put(b"1")
    assert box.put(b"2")
    assert finished(box) == Counts(0, 2, 0)


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_nobody_waits_for_a_future_that_was_given_up():
    gateway = Gateway(TAKEN)
    gateway.open.clear()
    box = outbox(gateway)
    assert box.put(b"1")
    assert box.flush().cancel()
    gateway.open.set()
    assert finished(box) == Counts(0, 1, 0)
