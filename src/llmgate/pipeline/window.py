"""How many requests of the last seconds failed."""

from __future__ import annotations

__all__ = ["Window"]


class Window:
    """Requests and errors of the last seconds, in parts; the oldest part falls out as a whole.

    Args:
        parts: How many parts it has.
    """

    __slots__ = ("_errors", "_requests", "_slot", "errors", "requests")

    def __init__(self, parts: int) -> None:
        self._requests = [0] * parts
        self._errors = [0] * parts
        self._slot = 0
        self.requests = 0
        self.errors = 0

    def turn(self, slot: int) -> None:
        """Let what is too old fall out.

        Args:
            slot: The part of all time that it is now, counted from the beginning of the clock.
        """
        parts = len(self._requests)
        for passed in range(max(self._slot + 1, slot - parts + 1), slot + 1):
            place = passed % parts
            self.requests -= self._requests[place]
            self.errors -= self._errors[place]
            self._requests[place] = self._errors[place] = 0
        self._slot = max(self._slot, slot)

    def add(self, slot: int, *, failed: bool) -> None:
        """Count a request.

        Args:
            slot: The part of all time that it belongs to, counted from the beginning of the clock.
            failed: Whether it failed.
        """
        if slot > self._slot:
            self.turn(slot)
        place = self._slot % len(self._requests)
        self._requests[place] += 1
        self._errors[place] += failed
        self.requests += 1
        self.errors += failed
