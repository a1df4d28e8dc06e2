"""The store itself: each method is one transaction in the thread of the file."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from llmgate.spec import (
    Claim,
    Clock,
    GatewayClosedError,
    Place,
    Rate,
    RateDecision,
    StageContext,
    StateStore,
    SystemClock,
    Units,
)
from llmgate.stages.state.memory.gcra import Spent, check_rate, decide, reset_after

from .config import SqliteConfig
from .database import Database
from .listening import Listener
from .room import Room

__all__ = ["Sqlite"]

T = TypeVar("T")

_FRESH: Final = 60.0
"""Seconds for which a value that was used counts as just used; so that not every look at one is a write."""
_ANY_TIME: Final = 1.0
"""Seconds after which one who found no place may ask again."""


class Sqlite(StateStore[SqliteConfig]):
    """Keeps state in a file, for every process of this machine that names it, and across their ends.

    Times are those of the machine's clock, since they must mean the same to all processes and after a restart. When
    ``max-entries`` or ``max-size`` is reached, values used longest ago go; limits, counters and leases never do before
    their time, a new one is refused with ``StateFileError`` instead.
    """

    name = "sqlite"
    config_class = SqliteConfig
    shared = True

    def __init__(self, config: SqliteConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._room = Room(config.max_entries, config.max_size)
        self._database: Database | None = None
        self._listener: Listener | None = None

    async def open(self, context: StageContext) -> None:
        """Open the file.

        Raises:
            PluginError: it cannot be used.
        """
        config = self.config
        self._clock = context.clock
        database = Database(context.id, context.directory / config.path, config.timeout)
        await database.open()
        self._database = database
        self._listener = Listener(database, context.clock, config.subscriber_queue, config.poll_interval)

    async def aclose(self) -> None:
        """Close the file and end every subscription; the state stays."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()
        database, self._database = self._database, None
        if database is not None:
            await database.aclose()

    async def add(self, key: str, amount: int = 1, *, ttl: float | None = None, once: str | None = None) -> int:
        """Add to a counter of 64 bits and return it."""
        name, now = _blob(key), self._clock.now()

        def work(file: sqlite3.Connection) -> int:
            known = _one(file, "SELECT value FROM counters WHERE key = ? AND ends > ?", name, now)
            value = 0 if known is None else int(known[0])
            if once is not None and self._first(file, _mark("add", once, key), now) is not None:
                return value
            self._room.make(file, now, (known is None) + (once is not None))
            if known is None:
                file.execute("DELETE FROM counters WHERE key = ?", (name,))
                file.execute("INSERT INTO counters VALUES (?, ?, ?)", (name, amount, _end(now, ttl)))
            else:
                file.execute("UPDATE counters SET value = value + ? WHERE key = ?", (amount, name))
            self._remember(file, _mark("add", once, key), "", now)
            return value + amount

        return await self._write(work)

    async def counter(self, key: str) -> int:
        """The counter's value."""
        found = await self._read("SELECT value FROM counters WHERE key = ? AND ends > ?", _blob(key), self._clock.now())
        return 0 if found is None else int(found[0])

    async def acquire(self, key: str, rate: Rate, cost: float = 1, *, once: str | None = None) -> RateDecision:
        """Spend units of a rate if they are there."""
        return (await self.claim((Units(key, rate, cost),), once=once))[0]

    async def peek(self, key: str, rate: Rate, cost: float = 1) -> RateDecision:
        """What ``acquire`` would say."""
        _check(rate, cost)
        now = self._clock.now()
        found = await self._read("SELECT units, at FROM rates WHERE key = ? AND ends > ?", _blob(key), now)
        return decide(_left(found, now, rate), rate, cost)[0]

    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back, or spend more than there are."""
        await self.give_back((Units(key, rate, cost),))

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take or renew a place."""
        return (await self.claim((Place(key, holder, limit, ttl),)))[0].allowed

    async def release(self, key: str, holder: str) -> None:
        """Give a place back."""
        await self.give_back((Place(key, holder, 0, 1),))

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        """Take all of several claims, or nothing."""
        now = self._clock.now()
        mark = _mark("claim", once, *(one.key for one in claims))

        def work(file: sqlite3.Connection) -> Sequence[RateDecision]:
            first = None if mark is None else self._first(file, mark, now)
            if first is not None:
                return [RateDecision(*one) for one in json.loads(first)]
            self._room.make(file, now, len(claims) + (mark is not None))
            decisions: list[RateDecision] = []
            spent: list[Spent | None] = []
            for one in claims:
                decision, after = _judged(file, one, now)
                decisions.append(decision)
                if not decision.allowed:
                    decisions[:-1] = [_judged(file, other, now, taken=False)[0] for other in claims[: len(spent)]]
                    spent = []
                    break
                spent.append(after)
            for one, after in zip(claims, spent, strict=False):
                _take(file, one, after, now)
            told = [[one.allowed, one.remaining, one.retry_after, one.reset_after] for one in decisions]
            self._remember(file, mark, json.dumps(told), now)
            return decisions

        return await self._write(work)

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        """Give back what has been claimed."""
        now, mark = self._clock.now(), _mark("give-back", once)
        for one in claims:
            if isinstance(one, Units):
                check_rate(one.rate, one.cost)

        def work(file: sqlite3.Connection) -> None:
            if self._first(file, mark, now) is not None:
                return
            self._remember(file, mark, "", now)
            for one in claims:
                if isinstance(one, Units):
                    left = _left(_rate(file, one.key, now), now, one.rate)
                    _keep(file, one, Spent(max(0.0, left.units - one.cost), now), now)
                else:
                    file.execute("DELETE FROM leases WHERE key = ? AND holder = ?", (_blob(one.key), _blob(one.holder)))

        await self._write(work)

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep a value."""
        name, now = _blob(key), self._clock.now()

        def work(file: sqlite3.Connection) -> None:
            file.execute("DELETE FROM vals WHERE key = ?", (name,))
            if (ttl is None or ttl > 0) and self._room.make_for_value(file, now, len(name) + len(value)):
                file.execute("INSERT INTO vals VALUES (?, ?, ?, ?)", (name, value, now, _end(now, ttl)))

        await self._write(work)

    async def get(self, key: str) -> bytes | None:
        """A value kept."""
        name, now = _blob(key), self._clock.now()
        found = await self._read("SELECT value, used FROM vals WHERE key = ? AND ends > ?", name, now)
        if found is None:
            return None
        if now - found[1] > _FRESH:
            await self._write(lambda file: file.execute("UPDATE vals SET used = ? WHERE key = ?", (now, name)))
        return bytes(found[0])

    async def delete(self, key: str) -> None:
        """Forget a value."""
        await self._write(lambda file: file.execute("DELETE FROM vals WHERE key = ?", (_blob(key),)))

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to whoever subscribes now, in every process."""
        if self._listener is None:
            raise GatewayClosedError("the state store is not open")
        await self._listener.publish(channel, message)

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Messages published from the moment the context is entered."""
        if self._listener is None:
            raise GatewayClosedError("the state store is not open")
        return self._listener.subscribe(channel)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._database is None:
            raise GatewayClosedError("the state store is not open")
        return await self._database.run(work)

    async def _read(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        if self._database is None:
            raise GatewayClosedError("the state store is not open")
        return await self._database.run(lambda file: _one(file, statement, *values), writes=False)

    def _first(self, file: sqlite3.Connection, mark: bytes | None, now: float) -> str | None:
        """What was answered under a word before."""
        found = None if mark is None else _one(file, "SELECT answer FROM once WHERE key = ? AND ends > ?", mark, now)
        return None if found is None else str(found[0])

    def _remember(self, file: sqlite3.Connection, mark: bytes | None, answer: str, now: float) -> None:
        if mark is not None:
            file.execute("DELETE FROM once WHERE key = ?", (mark,))
            file.execute("INSERT INTO once VALUES (?, ?, ?)", (mark, answer, now + self.config.once_ttl))


def _judged(
    file: sqlite3.Connection, claim: Claim, now: float, *, taken: bool = True
) -> tuple[RateDecision, Spent | None]:
    """The decision on a claim, and what is then spent of a rate."""
    if isinstance(claim, Units):
        _check(claim.rate, claim.cost)
        return decide(_left(_rate(file, claim.key, now), now, claim.rate), claim.rate, claim.cost if taken else 0.0)
    if not claim.ttl > 0:
        raise ValueError(f"a lease needs a positive number of seconds, not {claim.ttl}")
    name = _blob(claim.key)
    held = _one(
        file, "SELECT count(*), sum(holder = ?) FROM leases WHERE key = ? AND ends > ?", _blob(claim.holder), name, now
    )
    assert held is not None, "a count is always there"
    count, mine = int(held[0]), bool(held[1])
    allowed = mine or count < claim.limit
    count += taken and allowed and not mine
    wait, reset = 0.0 if allowed else _ANY_TIME, _ANY_TIME if count else 0.0
    return RateDecision(allowed, max(0, claim.limit - count), wait, reset), None


def _take(file: sqlite3.Connection, claim: Claim, spent: Spent | None, now: float) -> None:
    """Write down what has been granted."""
    if isinstance(claim, Units):
        assert spent is not None, "what is judged of a rate is what is spent of it"
        _keep(file, claim, spent, now)
        return
    place = (_blob(claim.key), _blob(claim.holder))
    file.execute("DELETE FROM leases WHERE key = ? AND holder = ?", place)
    file.execute("INSERT INTO leases VALUES (?, ?, ?)", (*place, _end(now, claim.ttl)))


def _keep(file: sqlite3.Connection, claim: Units, spent: Spent, now: float) -> None:
    name = _blob(claim.key)
    file.execute("DELETE FROM rates WHERE key = ?", (name,))
    if spent.units > 0:
        ends = now + reset_after(spent, claim.rate)
        file.execute("INSERT INTO rates VALUES (?, ?, ?, ?)", (name, spent.units, spent.at, ends))


def _rate(file: sqlite3.Connection, key: str, now: float) -> tuple[Any, ...] | None:
    return _one(file, "SELECT units, at FROM rates WHERE key = ? AND ends > ?", _blob(key), now)


def _left(found: tuple[Any, ...] | None, now: float, rate: Rate) -> Spent:
    return Spent(0.0, now) if found is None else Spent(found[0], found[1]).left_at(now, rate)


def _check(rate: Rate, cost: float) -> None:
    check_rate(rate, cost)
    if cost < 0:
        raise ValueError(f"a cost of {cost} would give units back: use refund")


def _one(file: sqlite3.Connection, statement: str, *values: Any) -> tuple[Any, ...] | None:
    found: tuple[Any, ...] | None = file.execute(statement, values).fetchone()
    return found


def _mark(what: str, once: str | None, *keys: str) -> bytes | None:
    """The name of a word under which something happens at most once."""
    return None if once is None else json.dumps([what, once, *keys]).encode()


def _blob(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _end(now: float, ttl: float | None) -> float:
    return math.inf if ttl is None else now + ttl
