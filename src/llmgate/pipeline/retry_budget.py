"""How many attempts beyond the first of each request may be made, all requests together.

It is a share of the requests, so that a provider that is down gets hardly more of them than one that is well.

The rule is that of Finagle's retry budget (https://twitter.github.io/finagle/guide/Clients.html#retries) and Envoy's,
over a sliding window: no timer runs, and what is kept does not grow with the traffic.
"""

from __future__ import annotations

from typing import Final

from llmgate.config.model import RetryBudgetConfig

__all__ = ["RetryBudget"]

SLOTS: Final = 10
"""Parts of the window; the oldest falls out as a whole."""


class RetryBudget:
    """Counts requests and extra attempts of the last seconds.

    Args:
        config: How many extra attempts are allowed.

    Attributes:
        refused: Extra attempts that were not allowed.
    """

    __slots__ = ("_extras", "_requests", "_slot", "config", "refused")

    def __init__(self, config: RetryBudgetConfig) -> None:
        self.config = config
        self.refused = 0
        self._requests = [0] * SLOTS
        self._extras = [0] * SLOTS
        self._slot = 0

    def request(self, now: float) -> None:
        """Count a request.

        Args:
            now: Monotonic seconds.
        """
        self._requests[self._turned(now)] += 1

    def withdraw(self, now: float) -> bool:
        """Take one extra attempt, if there is one left.

        Args:
            now: Monotonic seconds.
        """
        place = self._turned(now)
        allowed = self.config.floor + self.config.ratio * sum(self._requests)
        if sum(self._extras) + 1 > allowed:
            self.refused += 1
            return False
        self._extras[place] += 1
        return True

    def _turned(self, now: float) -> int:
        """The place of the slot that ``now`` is in, those that have left the window emptied."""
        slot = int(now * SLOTS / self.config.window)
        for passed in range(max(self._slot + 1, slot - SLOTS + 1), slot + 1):
            self._requests[passed % SLOTS] = self._extras[passed % SLOTS] = 0
        self._slot = max(self._slot, slot)
        return self._slot % SLOTS
