"""When a state store that has failed is asked again, and how often the log says that it fails."""

from __future__ import annotations

import math
from typing import Final

from llmgate.spec import Clock, GatewayError

__all__ = ["Outage"]

_QUIET: Final = 60.0
"""Seconds between two lines of the log on a store that works for some and refuses others."""


class Outage:
    """What is known of one store's failing.

    A store that does not answer is down: it is left alone for a pause, and after it one request alone tries it, so that
    a store that hangs slows down one request a pause. One that answers with an error of its own (it is full, or has a
    breaker of its own) is not.

    Args:
        clock: Tells the time.
        pause: Seconds for which a store that is down is left alone.
    """

    def __init__(self, clock: Clock, pause: float) -> None:
        self._clock = clock
        self._pause = pause
        self._until: float | None = None
        self._trying = False
        self._worked = True
        self.calm = True
        """Whether the store has answered all along, so that there is nothing to ask nor to tell here."""
        self._said = -math.inf

    @property
    def down(self) -> bool:
        """Whether the store is being left alone."""
        return self._until is not None and self._clock.monotonic() < self._until

    def admits(self) -> bool:
        """Whether the store may be asked now; whoever is told so says how it went."""
        if self._until is None:
            return True
        if self._trying or self._clock.monotonic() < self._until:
            return False
        self._trying = True
        return True

    def failed(self, failure: Exception) -> bool:
        """The store has failed; tells whether that is news for the log."""
        now, was_down = self._clock.monotonic(), self._until is not None
        self._until, self._trying = None if isinstance(failure, GatewayError) else now + self._pause, False
        self.calm = False
        news = not was_down and self._worked and (self._until is not None or now - self._said >= _QUIET)
        self._worked = False
        if news:
            self._said = now
        return news

    def worked(self) -> bool:
        """The store has answered; tells whether it was down before."""
        was_down, self._until = self._until is not None, None
        self._trying, self._worked, self.calm = False, True, True
        return was_down

    def abandoned(self) -> None:
        """Whoever asked has left before the answer; another one may try."""
        self._trying = False
