"""A deployment that is left out for a while: from when, until when, and who may try whether it is back.

These are the states of a circuit breaker (Nygard, "Release It!", 2007): no outage is *closed*, an outage is *open*
until its trial is due and *half-open* from then on, when one request at a time may try. No timer runs and nothing is
held: what has passed is found out when somebody looks.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeAlias

import attrs

__all__ = ["Outage", "OutageState"]

OutageState: TypeAlias = Literal["open", "half-open"]

NEVER: Final = -math.inf


@attrs.define
class Outage:
    """Why and how long a deployment is left out; times are monotonic seconds.

    Args:
        since: From when on.
        until: When it takes its place again without any proof.
        trial: When one request may try it.
        seen: The latest word of the provider that it rests on: what began before says nothing against it.
        why: What has led to it, for people.
        share: The share of errors when it last failed; 0 where it only limits the gateway.
        requests: Requests that have ended since then.
        errors: How many of them failed.
        claimed: When the trial that is under way was given out; None when there is none.
        lapses: When a trial that was given out and of which nothing was heard is given out again.
        probed: When it was probed last, and whether it answered; None before.
    """

    since: float
    until: float
    trial: float
    seen: float
    why: str
    share: float = 0.0
    requests: int = 0
    errors: int = 0
    claimed: float | None = None
    lapses: float = NEVER
    probed: tuple[float, bool] | None = None

    def extend(self, now: float, until: float, trial: float, why: str) -> None:
        """A further failure, or a further wish to be left alone; a shorter one does not shorten a longer one."""
        self.until, self.trial = max(self.until, until), max(self.trial, trial)
        self.seen = now
        self.why = why

    def count(self, *, failed: bool) -> None:
        """A request has ended that was sent to it all the same."""
        self.requests += 1
        self.errors += failed

    def state(self, now: float) -> OutageState:
        """Whether one request may try it."""
        return "half-open" if self.is_due(now) else "open"

    def is_due(self, now: float) -> bool:
        """Whether one request may try it now: the time has come, and nobody is trying."""
        return now >= self.trial and (self.claimed is None or now >= self.lapses)

    def take_trial(self, now: float, patience: float) -> bool:
        """Give out the trial, where it is due.

        Args:
            now: Monotonic seconds.
            patience: Seconds after which another may try, should nothing be heard of this one.
        """
        if not self.is_due(now):
            return False
        self.claimed, self.lapses = now, now + patience
        return True

    def end_trial(self, started: float, next_trial: float) -> None:
        """An attempt has ended; where it was the trial, the next one may go out.

        Args:
            started: When the attempt began.
            next_trial: When.
        """
        if self.claimed is not None and started >= self.claimed:
            self.claimed = None
            self.trial = max(self.trial, next_trial)

    def note_probe(self, now: float, *, passed: bool) -> None:
        """Its provider has been probed. One that answers may be tried at once, and in its own place.

        One that does not changes nothing: the probe may ask for what it does not have, and trials find out.
        """
        self.probed = now, passed
        if passed:
            self.trial, self.until = min(self.trial, now), min(self.until, now)

    def wait(self, now: float) -> float:
        """Seconds until somebody may try it, as far as is known."""
        return max(self.trial - now, 0.0)
