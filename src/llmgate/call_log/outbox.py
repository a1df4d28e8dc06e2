"""What waits to be told to a gateway, bounded, and the threads that tell it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

import attrs

from .delivery import Delivery, Line, Verdict

__all__ = ["Counts", "Outbox"]

log: Final = logging.getLogger("llmgate.call_log")

_TRIES: Final = 5
"""How often a call is told at which the gateway fails, so that it does not hold up the others for ever."""
_IDLE: Final = 15.0
"""Seconds after which a connection that nothing is sent on is let go."""
_QUIET: Final = 60.0
"""Seconds between two warnings."""


@attrs.frozen
class Counts:
    """What has become of calls so far.

    Args:
        waiting: Those that are to be told yet.
        sent: Those that the gateway has taken.
        dropped: Those that it will not be told of: there was no room, they cannot be written, they were refused, they
            waited for too long, or the logger was closed.
    """

    waiting: int
    sent: int
    dropped: int


@attrs.frozen
class _Parcel:
    body: bytes
    since: float


class Outbox:
    """Calls on their way. For any thread; nothing here waits but the threads of its own.

    Args:
        delivery: Bounds and times.
        connect: Makes a line to the gateway for each thread.
    """

    def __init__(self, delivery: Delivery, connect: Callable[[], Line]) -> None:
        self._delivery = delivery
        self._connect = connect
        self._closed = False
        self.begin()

    def begin(self) -> None:
        """Be empty: at the start, and in the child of a fork, which has none of the threads."""
        self._change = threading.Condition()
        self._waiting: deque[_Parcel] = deque()
        self._bytes = self._unsettled = self._threads = self._nudges = 0
        self._sent = self._dropped = 0
        self._quiet_until = 0.0
        self._idle: list[Future[None]] = []
        self._ended: list[Future[None]] = []

    @property
    def counts(self) -> Counts:
        """What has become of calls so far."""
        with self._change:
            return Counts(self._unsettled, self._sent, self._dropped)

    def put(self, body: bytes) -> bool:
        """Have a call told; False where there is no room for it, or all is closed."""
        with self._change:
            if self._closed:
                why = "the logger is closed"
            elif self._unsettled >= self._delivery.max_calls:
                why = f"{self._unsettled} are waiting already"
            elif self._bytes + len(body) > self._delivery.max_bytes:
                why = f"it has {len(body)} bytes, and those that wait have {self._bytes}"
            else:
                self._waiting.append(_Parcel(body, time.monotonic()))
                self._bytes += len(body)
                self._unsettled += 1
                self._begin_threads()
                self._change.notify_all()
                return True
        self.drop(why)
        return False

    def drop(self, why: str) -> None:
        """Count a call that is not told, and say so now and then."""
        with self._change:
            self._dropped += 1
            dropped = self._dropped
        self._warn("a call is not recorded: %s (%d so far)", why, dropped)

    def flush(self) -> Future[None]:
        """Try at once whatever waits for a repeat.

        Returns:
            What is done once nothing waits any more.
        """
        done: Future[None] = Future()
        with self._change:
            self._idle.append(done)
            self._nudges += 1
            self._change.notify_all()
            self._tell_idle()
        return done

    def end(self) -> Future[None]:
        """Take no more, and drop what waits.

        Returns:
            What is done once no thread is left.
        """
        done: Future[None] = Future()
        with self._change:
            self._closed = True
            left = len(self._waiting)
            self._dropped += left
            self._unsettled -= left
            self._bytes -= sum(len(parcel.body) for parcel in self._waiting)
            self._waiting.clear()
            self._ended.append(done)
            self._change.notify_all()
            self._tell_idle()
            self._tell_ended()
        if left:
            log.warning("%d calls are not recorded: the logger was closed before the gateway had taken them", left)
        return done

    def _begin_threads(self) -> None:
        if self._threads >= min(self._delivery.connections, self._unsettled):
            return
        thread = threading.Thread(target=self._work, name="llmgate-call-log", daemon=True)
        self._threads += 1
        try:
            thread.start()
        except RuntimeError:  # none can be had now; the next call tries again
            self._threads -= 1

    def _work(self) -> None:
        line = self._connect()
        try:
            while (parcel := self._take(line)) is not None:
                try:
                    why = self._bring(line, parcel)
                except Exception as failure:  # noqa: BLE001 - a thread that ended would leave all the others waiting
                    why = f"{type(failure).__name__}: {failure}"
                self._settle(parcel, why)
        finally:
            line.close()
            with self._change:
                self._threads -= 1
                self._tell_ended()

    def _take(self, line: Line) -> _Parcel | None:
        with self._change:
            while not self._waiting:
                if self._closed:
                    return None
                if not self._change.wait(_IDLE):
                    line.close()
            return self._waiting.popleft()

    def _bring(self, line: Line, parcel: _Parcel) -> str:
        """Tell one call until the gateway has taken it; gives the reason where it will not."""
        wait, broken = self._delivery.first_wait, 0
        while True:
            reply = line.send(parcel.body)
            broken += reply.verdict is Verdict.BROKEN
            if reply.verdict is Verdict.TAKEN:
                return ""
            if reply.verdict is Verdict.REFUSED or broken >= _TRIES:
                return f"the gateway says {reply.says}"
            if time.monotonic() - parcel.since >= self._delivery.max_age:
                return f"it has waited for {self._delivery.max_age:g} s: {reply.says}"
            self._warn("the gateway takes no calls now, they are kept and told again: %s", reply.says)
            longest = self._delivery.longest_wait
            drawn = wait * random.uniform(0.5, 1)  # noqa: S311 - so that many do not come back at once, no secret
            if not self._pause(min(longest, max(drawn, reply.retry_after))):
                return "the logger was closed before the gateway had taken it"
            wait = min(longest, 2 * wait)

    def _pause(self, seconds: float) -> bool:
        """Wait, less where somebody flushes; False where all is closed."""
        with self._change:
            nudges = self._nudges
            self._change.wait_for(lambda: self._closed or self._nudges != nudges, seconds)
            return not self._closed

    def _settle(self, parcel: _Parcel, why: str) -> None:
        if why:
            self.drop(why)
        with self._change:
            self._sent += not why
            self._bytes -= len(parcel.body)
            self._unsettled -= 1
            self._tell_idle()

    def _tell_idle(self) -> None:
        if not self._unsettled:
            _complete(self._idle)

    def _tell_ended(self) -> None:
        if self._closed and not self._threads:
            _complete(self._ended)

    def _warn(self, text: str, *words: object) -> None:
        with self._change:
            now = time.monotonic()
            if now < self._quiet_until:
                return
            self._quiet_until = now + _QUIET
        log.warning(text, *words)


def _complete(futures: list[Future[None]]) -> None:
    while futures:
        future = futures.pop()
        if future.set_running_or_notify_cancel():
            future.set_result(None)
