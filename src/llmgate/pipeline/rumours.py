"""What processes tell each other of deployments that are left out; nothing of it is believed blindly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from .outage import Outage

__all__ = ["Rumours", "as_rumour"]

MOST: Final = 1000
"""Deployments of which something is remembered that this process has not asked yet."""

LONGEST_REASON: Final = 300


def as_rumour(outage: Outage | None, now: float) -> Mapping[str, Any] | None:
    """What the others are told of an outage, None for its end; times are seconds from now on.

    Args:
        outage: The outage.
        now: Monotonic seconds.
    """
    if outage is None:
        return None
    return {
        "until": max(outage.until - now, 0.0),
        "trial": outage.wait(now),
        "share": outage.share,
        "why": outage.why[:LONGEST_REASON],
    }


class Rumours:
    """Outages that others have told of, until this process comes upon the deployment itself.

    Args:
        longest: Seconds beyond which no outage is believed to last.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._outages: dict[str, Outage] = {}
        self._until = -math.inf

    def __bool__(self) -> bool:
        return bool(self._outages)

    def read(self, told: Mapping[str, Any], now: float) -> Outage:
        """The outage that a message tells of.

        Args:
            told: What ``as_rumour`` made of it.
            now: Monotonic seconds.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        until, trial, share = (float(told[name]) for name in ("until", "trial", "share"))
        if not (math.isfinite(until) and math.isfinite(trial) and 0 <= share <= 1):
            raise ValueError("no outage lasts so long, or has such a share of errors")
        until, trial = (min(max(one, 0.0), self._longest) for one in (until, trial))
        why = str(told["why"])[:LONGEST_REASON]
        return Outage(
            now, now + until, now + trial, now, why if why.isprintable() else "another process says so", share
        )

    def keep(self, instance: str, outage: Outage, now: float) -> None:
        """Remember an outage of a deployment that this process may come upon.

        Args:
            instance: Which deployment.
            outage: The outage.
            now: Monotonic seconds.
        """
        self.forget_passed(now)
        if len(self._outages) < MOST or instance in self._outages:
            self._outages[instance] = outage
            self._until = max(self._until, outage.until)

    def take(self, instance: str, now: float) -> Outage | None:
        """What was told of a deployment, to be forgotten here; None when it is nothing, or has passed."""
        self.forget_passed(now)
        outage = self._outages.pop(instance, None)
        return outage if outage is not None and now < outage.until else None

    def forget_passed(self, now: float) -> None:
        """Forget everything once all of it has passed, so that nothing is looked up any more."""
        if now >= self._until:
            self._outages.clear()
