"""One threshold, and where everything that it looks at stands."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

from llmgate.spec import Clock, Record

from .config import Rule
from .measures import is_over, samples
from .notices import Notice
from .windows import Window, slot_of

__all__ = ["Watch"]


class _Standing:
    """The window of one value, and what has been told of it."""

    __slots__ = ("told", "told_at", "window")

    def __init__(self) -> None:
        self.window = Window()
        self.told = False
        self.told_at: float | None = None


class Watch:
    """Counts for one rule, and says what is to be told.

    Args:
        rule: The threshold.
        clock: Time.
    """

    def __init__(self, rule: Rule, clock: Clock) -> None:
        self.rule = rule
        self._clock = clock
        self._values: dict[str | None, _Standing] = {}
        self._others = _Standing()
        self._firing: dict[tuple[bool, str | None], _Standing] = {}
        self._swept = -1

    @property
    def firing(self) -> bool:
        """Whether something has been told that is not over yet."""
        return bool(self._firing)

    @property
    def size(self) -> int:
        """How many values are looked at apart."""
        return len(self._values)

    def take(self, record: Record) -> Iterator[Notice]:
        """Count a record; what is to be told of it."""
        now = self._clock.monotonic()
        slot = slot_of(now, self.rule.window)
        for value, amount in samples(self.rule, record):
            others, standing = self._standing_of(value, slot, now)
            standing.window.slide(slot)
            standing.window.add(slot, amount)
            yield from self._judge(None if others else value, standing, others, now, record.id)

    def look(self) -> Iterator[Notice]:
        """What is to be told since time has passed."""
        now = self._clock.monotonic()
        slot = slot_of(now, self.rule.window)
        for (others, value), standing in tuple(self._firing.items()):
            standing.window.slide(slot)
            yield from self._judge(value, standing, others, now, None)

    def _standing_of(self, value: str | None, slot: int, now: float) -> tuple[bool, _Standing]:
        standing = self._values.get(value)
        if standing is not None:
            return False, standing
        if len(self._values) >= self.rule.values and self._swept != slot:
            # Once in a part of the window: a flood of new names costs one look at a time, not one a request.
            self._swept = slot
            self._sweep(slot, now)
        if len(self._values) >= self.rule.values:
            return True, self._others
        standing = self._values[value] = _Standing()
        return False, standing

    def _sweep(self, slot: int, now: float) -> None:
        """Forget the values of which nothing is left, and nothing may be told too soon."""
        for value, standing in tuple(self._values.items()):
            standing.window.slide(slot)
            paused = standing.told_at is not None and now - standing.told_at < self.rule.pause
            if not standing.window.total and not standing.told and not paused:
                del self._values[value]

    def _judge(
        self, value: str | None, standing: _Standing, others: bool, now: float, exchange: str | None
    ) -> Iterator[Notice]:
        over = is_over(self.rule, standing.window)
        if over and (standing.told_at is None or now - standing.told_at >= self.rule.pause):
            standing.told, standing.told_at = True, now
            self._firing[others, value] = standing
        elif not over and standing.told:
            standing.told = False
            del self._firing[others, value]
        else:
            return
        window = standing.window
        yield Notice(
            id=f"msg_{uuid4().hex}",
            rule=self.rule,
            value=value,
            others=others,
            resolved=not over,
            total=window.total,
            amount=window.amount,
            exchange=exchange,
            at=self._clock.now(),
        )
