"""Keeps callers from waiting for a server that does not answer."""

from __future__ import annotations

import logging
from typing import Final

from llmgate.spec import Clock

from .errors import StateUnavailableError

__all__ = ["Breaker"]

log: Final = logging.getLogger("llmgate.redis")


class Breaker:
    """Says whether calls are made; while it is open they fail at once, and only trials are, by nobody's request.

    A call that waits in vain, while no other is answered either, opens it by itself, as the next would wait as long:
    slow is worse than gone. Other failures open it when there are so many in a row. The first trial comes at once; each
    that fails, and each closing that no call could make use of, doubles the pause before the next.

    Args:
        name: What errors call the store; they may reach a caller of the gateway, who learns no address.
        where: What the log calls the server.
        clock: Where time comes from.
        failures: Failures in a row that open it.
        pause: Seconds from the first trial to the second.
        longest: Seconds beyond which the pause does not grow.
    """

    def __init__(self, name: str, where: str, clock: Clock, *, failures: int, pause: float, longest: float) -> None:
        self._name = name
        self._where = where
        self._clock = clock
        self._limit = failures
        self._first_pause = min(pause, longest)
        self._longest = longest
        self._failed = 0
        self._answers = 0
        self._pause = 0.0
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._until is not None

    @property
    def rest(self) -> float:
        """Seconds until the next trial."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock.monotonic())

    def enter(self) -> int:
        """Begin a call, which is ended by ``succeeded`` or ``failed``, or not at all where its caller leaves.

        Returns:
            How many calls have been answered so far.

        Raises:
            StateUnavailableError: the breaker is open.
        """
        if self._until is not None:
            raise StateUnavailableError(
                f"{self._name} has not answered lately and is left alone for a while", retry_after=self.rest
            )
        return self._answers

    def succeeded(self, *, trial: bool = False) -> None:
        """End a call, or a trial, that was answered: the server is there."""
        if self._until is not None:
            log.warning("%s: %s answers again", self._name, self._where)
            self._until = None
        self._failed = 0
        self._answers += 1
        if not trial:
            self._pause = 0.0

    def failed(self, reason: str, *, waited_since: int | None = None, trial: bool = False) -> None:
        """End a call, or a trial, that was not answered; a call that began before it opened changes nothing.

        Args:
            reason: What went wrong, for the log.
            waited_since: What ``enter`` has said, of a call that took all the time that it may take.
            trial: Whether it was a trial.
        """
        if trial:
            self._open()
        elif self._until is None:
            self._failed += 1
            if waited_since == self._answers or self._failed >= self._limit:
                self._open()
                log.warning("%s: %s fails, and is left alone for a while: %s", self._name, self._where, reason)

    def _open(self) -> None:
        self._until = self._clock.monotonic() + self._pause
        self._pause = min(self._pause * 2 or self._first_pause, self._longest)
