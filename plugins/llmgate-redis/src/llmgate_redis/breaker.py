"""Keeps callers from waiting for a server that does not answer."""

from __future__ import annotations

import logging
from typing import Final

from llmgate.spec import Clock

from .errors import StateUnavailableError

__all__ = ["Breaker"]

log: Final = logging.getLogger("llmgate.redis")


class Breaker:
    """Opens after failures in a row; while it is open calls fail at once, but for one at a time that tries again.

    Args:
        name: What errors call the store; they may reach a caller of the gateway, who learns no address.
        where: What the log calls the server.
        clock: Where time comes from.
        failures: Failures in a row that open it.
        pause: Seconds until the first trial; doubled by each trial that fails.
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
        self._pause = self._first_pause
        self._until: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._until is not None

    def enter(self) -> bool:
        """Begin a call; each is ended by ``succeeded``, ``failed`` or ``left``.

        Returns:
            Whether the call is the trial of an open breaker; to be handed back when it ends.

        Raises:
            StateUnavailableError: the breaker is open.
        """
        if self._until is None:
            return False
        rest = self._until - self._clock.monotonic()
        if rest > 0 or self._trying:
            raise StateUnavailableError(
                f"{self._name} has not answered lately and is left alone for a while",
                retry_after=max(rest, 0.0),
            )
        self._trying = True
        return True

    def succeeded(self, *, trial: bool) -> None:
        """End a call that was answered: the server is there."""
        if trial:
            self._trying = False
        if self._until is not None:
            log.warning("%s: %s answers again", self._name, self._where)
        self._failed, self._until, self._pause = 0, None, self._first_pause

    def failed(self, reason: str, *, trial: bool) -> None:
        """End a call that was not answered; one that began before the breaker opened does not prolong the pause."""
        if trial:
            self._trying = False
            self._pause = min(self._pause * 2, self._longest)
            self._until = self._clock.monotonic() + self._pause
        elif self._until is None:
            self._failed += 1
            if self._failed >= self._limit:
                self._until = self._clock.monotonic() + self._pause
                log.warning("%s: %s fails, and is left alone for a while: %s", self._name, self._where, reason)

    def left(self, *, trial: bool) -> None:
        """End a call that its caller has given up: it says nothing about the server."""
        if trial:
            self._trying = False
