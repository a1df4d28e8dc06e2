"""What happened lately: a window that slides by a twentieth of its length, in whole numbers."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

__all__ = ["SLOTS", "Window", "slot_of"]

SLOTS: Final = 20
"""Parts of a window; it forgets one of them at a time."""


def slot_of(moment: float, length: float) -> int:
    """The part of time that a moment is in.

    Args:
        moment: Monotonic seconds.
        length: Seconds of the whole window.
    """
    return math.floor(moment * SLOTS / length)


class Window:
    """How many requests there were, and how much of what is looked at.

    At most 20 parts are kept, those in which something happened.
    """

    __slots__ = ("_parts", "amount", "total")

    def __init__(self) -> None:
        self._parts: deque[list[int]] = deque()
        self.total = 0
        """Requests in the window."""
        self.amount = 0
        """What they amount to: nano-USD, errors, or those that took too long."""

    def add(self, slot: int, amount: int) -> None:
        """Count a request; slots never go back."""
        if not self._parts or self._parts[-1][0] < slot:
            self._parts.append([slot, 0, 0])
        last = self._parts[-1]
        last[1] += 1
        last[2] += amount
        self.total += 1
        self.amount += amount

    def slide(self, slot: int) -> None:
        """Forget what is no more in the window that ends with ``slot``."""
        while self._parts and self._parts[0][0] <= slot - SLOTS:
            _, total, amount = self._parts.popleft()
            self.total -= total
            self.amount -= amount
