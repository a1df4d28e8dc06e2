"""Places that are held for a time, of which there are only so many."""

from __future__ import annotations

from typing import Final

import attrs

from llmgate.spec import Place, RateDecision

__all__ = ["Lease", "judge_place"]

_ANY_TIME: Final = 1.0
"""Seconds after which one who found no place may ask again: somebody may leave at any time."""


@attrs.define(eq=False)
class Lease:
    """The places under one key.

    Args:
        holders: Who holds a place, and until which monotonic time.
        ends: When the last of them is gone.
    """

    holders: dict[str, float]
    ends: float

    def take(self, place: Place, now: float) -> None:
        """Give a place to its holder, or renew it."""
        self.holders[place.holder] = now + place.ttl
        self.ends = max(self.ends, now + place.ttl)


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
    held, mine = 0, False
    if lease is not None:
        held, mine = len(lease.holders), lease.holders.get(place.holder, now) > now
        if held >= place.limit and not mine:
            lease.holders = {name: until for name, until in lease.holders.items() if until > now}
            held = len(lease.holders)
    allowed = mine or held < place.limit
    held += taken and allowed and not mine
    return RateDecision(
        allowed=allowed,
        remaining=max(0, place.limit - held),
        retry_after=0.0 if allowed else _ANY_TIME,
        reset_after=_ANY_TIME if held else 0.0,
    )
