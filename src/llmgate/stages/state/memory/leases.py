"""Places that are held for a time, of which there are only so many."""

from __future__ import annotations

from typing import Final

import attrs

from llmgate.spec import Place, RateDecision

from .expiring import Entry

__all__ = ["Lease", "judge_place"]

_ANY_TIME: Final = 1.0
"""Seconds after which one who found no place may ask again: somebody may leave at any time."""


@attrs.define(eq=False)
class Lease(Entry):
    """The places under one key; it ends when the last of them is gone.

    Args:
        holders: Who holds a place, and until which monotonic time.
    """

    holders: dict[str, float]

    def take(self, place: Place, now: float) -> None:
        """Give a place to its holder, or renew it."""
        if self.expires <= now:
            self.holders.clear()
        self.holders[place.holder] = until = now + place.ttl
        if until > self.expires:
            self.expires = until


def judge_place(lease: Lease | None, place: Place, now: float, *, taken: bool = True) -> RateDecision:
    """Whether a place can be had.

    Args:
        lease: What is known of the key; None for nothing.
        place: What is asked for.
        now: Monotonic seconds.
        taken: Whether what is left is told as if it were taken.

    Raises:
        ValueError: it would be held for no time.
    """
    if not place.ttl > 0:
        raise ValueError(f"a lease needs a positive number of seconds, not {place.ttl}")
    held, mine, limit = 0, False, place.limit
    if lease is not None and lease.expires > now:
        held, mine = len(lease.holders), lease.holders.get(place.holder, now) > now
        if held >= limit and not mine:
            lease.holders = {name: until for name, until in lease.holders.items() if until > now}
            held = len(lease.holders)
    elif taken and limit > 0:  # the usual way: nobody holds one
        return RateDecision(True, limit - 1, 0.0, _ANY_TIME)
    allowed = mine or held < limit
    if taken and allowed and not mine:
        held += 1
    left = limit - held
    left = left if left > 0 else 0  # noqa: FURB136 - each request with a limit at once comes by
    return RateDecision(allowed, left, 0.0 if allowed else _ANY_TIME, _ANY_TIME if held else 0.0)
