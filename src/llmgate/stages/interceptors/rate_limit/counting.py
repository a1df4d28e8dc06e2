"""The state store as the limits use it: in time or not at all, and what follows where it is not there."""

from __future__ import annotations

import asyncio
import itertools
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

import attrs

from llmgate.spec import Claim, Clock, Place, RateDecision, StateStore, Units

from .account import Charge
from .config import RateLimitConfig
from .line import Lines
from .outage import Outage
from .places import Keeper
from .units import Ended

__all__ = ["Counting"]

T = TypeVar("T")

log = logging.getLogger("llmgate.limits")

_MOST_OWED: Final = 10_000
"""Keys whose counts are put right once the store is back; those above it are not."""
_AT_ONCE: Final = 500
"""Keys that one call to the store puts right."""
_MOST_UNKNOWN: Final = 1000
"""Decisions that came too late, and that are asked for again to give back what they may have granted."""
_REST: Final = 1.0
"""Seconds, at least, between two tries to put them right while no request does."""


class Counting:
    """Decides charges, and gives back what was not used.

    Where the store does not answer and ``local-share`` holds, the store ``local`` decides with this process's part of
    each limit, under keys of its own; once the store is back, what was granted so is added to its counts.

    Args:
        store: The state store.
        local: The store of this process.
        clock: Tells the time.
        config: What was written.
        name: What the configuration calls the stage.
        processes: Among how many processes a limit is divided.
    """

    def __init__(
        self,
        store: StateStore[Any],
        local: StateStore[Any],
        clock: Clock,
        config: RateLimitConfig,
        name: str,
        processes: int = 1,
    ) -> None:
        self.store = store
        self._local = local
        self._config = config
        self._name = name
        self._processes = processes
        self._outage = Outage(clock, config.pause)
        self._share = 0
        self._clock = clock
        self._owed: dict[tuple[str, str], Claim] = {}
        self._unknown: deque[tuple[Sequence[Claim], str]] = deque(maxlen=_MOST_UNKNOWN)
        self._unsent: deque[tuple[Sequence[Claim], str]] = deque(maxlen=_MOST_UNKNOWN)
        self._words = (f"{uuid.uuid4().hex}.{number}" for number in itertools.count())
        self._repaying: asyncio.Task[None] | None = None
        self.lines = Lines(clock, config.wait, config.max_waiting)
        self.keeper = Keeper(store, clock, config.lease, config.timeout) if store.shared else None
        self.repeatable = store.shared
        """Whether a decision needs a word, since a call over a network may be repeated on its way."""
        self.quick = store.instant and not self.repeatable
        """Whether the store neither takes time nor needs a word."""

    @property
    def at_once(self) -> bool:
        """Whether the store can be asked without more ado: it takes no time, is well, and is owed nothing."""
        return self.quick and self._outage.calm and not (self._owed or self._unsent)

    async def decide(self, charges: Sequence[Charge], once: str | None) -> bool:
        """Have charges decided; False where nobody decides."""
        claims, share = [one.claim for one in charges], None
        if self.at_once:
            try:
                decisions: Sequence[RateDecision] | None = await self.store.claim(claims, once=once)
            except Exception as failure:  # noqa: BLE001 - as in _asked
                self._note_failure(failure)
                decisions = None
        else:
            decisions = await self._asked(claims, once)
        if decisions is None and self._config.on_failure == "local-share":
            share = self._share
            decisions = await self._local.claim([self._in_share(one.claim, share) for one in charges])
        if decisions is None:
            return False
        for one, decision in zip(charges, decisions, strict=False):
            one.decision, one.share = one.limit.told(decision), share
        if (self.keeper is not None or share is not None) and all(one.allowed for one in decisions):
            self._granted(charges)
        return True

    async def granted_meanwhile(self, charges: Sequence[Charge], once: str | None) -> Sequence[Charge]:
        """What has been granted of charges whose decision nobody has waited for; told by asking again."""
        if once is None:
            return ()
        if not await self.decide(charges, once):
            return ()
        return charges if all(one.decision is not None and one.decision.allowed for one in charges) else ()

    async def settle(self, charges: Sequence[Charge], ended: Ended) -> None:
        """Give back what charges took beyond what was used, or take what is missing."""
        left = [(one, one.cost - one.limit.unit.used(ended, one.cost)) for one in charges]
        await self.give_back([(one, units) for one, units in left if units])

    async def give_back(self, units: Sequence[tuple[Charge, float]]) -> None:
        """Give units of charges back, a negative number takes more; where the store fails it is made up for later."""
        own: list[Claim] = []
        lines = len(self.lines)
        for charge, count in units:
            claim = charge.claim
            if isinstance(claim, Units):
                if count != claim.cost:
                    claim = Units(claim.key, claim.rate, count)
            elif self.keeper is not None and self.keeper.forget(claim) and charge.share is not None:
                own.append(claim)  # a place of this process's share that the store has got, too, since it is back
            if charge.share is None or (charge.share != self._share and isinstance(claim, Units)):
                own.append(claim)
            else:
                if isinstance(claim, Units):
                    self._owe(claim)
                await self._local.give_back([self._in_share(claim, charge.share)])
            if lines:
                self.lines.freed(charge.claim.key)
        if own:
            await self._send(own, next(self._words) if self.repeatable else None)

    async def give_back_at_once(self, claims: Sequence[Claim]) -> None:
        """Give back to a store that is asked without more ado; where it fails it is told later."""
        try:
            await self.store.give_back(claims)
        except Exception as failure:  # noqa: BLE001 - as in _done
            self._note_failure(failure)
            for one in claims:
                self._owe(one)

    async def aclose(self) -> None:
        """Stop keeping places; those that are held come free by themselves."""
        repaying, self._repaying = self._repaying, None
        if repaying is not None:
            repaying.cancel()
            await asyncio.wait({repaying})
        if self.keeper is not None:
            await self.keeper.aclose()

    async def _asked(self, claims: Sequence[Claim], once: str | None) -> Sequence[RateDecision] | None:
        if not self._outage.admits():
            return None
        try:
            if self.store.instant:
                decisions = await self.store.claim(claims, once=once)
            else:
                async with asyncio.timeout(self._config.timeout):
                    decisions = await self.store.claim(claims, once=once)
        except Exception as failure:  # noqa: BLE001 - whatever a store fails with, the operator has said what follows
            self._note_failure(failure)
            if once is not None and TimeoutError in (type(failure), type(failure.__cause__)):
                self._unknown.append((claims, once))
                self._start_repaying()
            return None
        except BaseException:
            self._outage.abandoned()
            raise
        self._note_success()
        if self._owed or self._unsent:
            await self._reconcile()
        return decisions

    def _granted(self, charges: Sequence[Charge]) -> None:
        for one in charges:
            if isinstance(one.claim, Place):
                if self.keeper is not None:
                    self.keeper.keep(one.claim)
            elif one.share is not None:
                self._owe(attrs.evolve(one.claim, cost=-one.claim.cost))

    def _owe(self, claim: Claim) -> None:
        """Remember what the store is to be told when it is back."""
        name = (claim.key, "" if isinstance(claim, Units) else claim.holder)
        known = self._owed.get(name)
        if isinstance(claim, Units) and isinstance(known, Units):
            claim = attrs.evolve(claim, cost=claim.cost + known.cost)
        elif len(self._owed) >= _MOST_OWED:
            return
        self._owed[name] = claim
        self._start_repaying()

    def _start_repaying(self) -> None:
        if self._repaying is None or self._repaying.done():
            self._repaying = asyncio.get_running_loop().create_task(self._repay(), name="llmgate-repaying")

    async def _send(self, claims: Sequence[Claim], word: str | None) -> bool:
        """Give back to the store; where nobody knows whether it has, it is told again, under the same word."""
        if not self._outage.down and await self._done(self.store.give_back(claims, once=word)):
            return True
        if word is None:
            for one in claims:
                self._owe(one)
        else:
            self._unsent.append((claims, word))
            self._start_repaying()
        return False

    async def _repay(self) -> None:
        """Tell the store what it does not know, though no request comes."""
        while self._owed or self._unknown or self._unsent:
            await self._clock.sleep(max(_REST, self._config.pause))
            if not (self._owed or self._unknown or self._unsent) or not self._outage.admits():
                continue
            if await self._reconcile():
                for _ in range(len(self._unknown)):
                    await self._resolve(*self._unknown.popleft())
            self._outage.abandoned()

    async def _resolve(self, claims: Sequence[Claim], once: str) -> None:
        """Give back what a decision that came too late has granted."""
        decisions: list[RateDecision] = []

        async def ask() -> None:
            decisions.extend(await self.store.claim(claims, once=once))

        if self._outage.down or not await self._done(ask()):
            self._unknown.append((claims, once))
            return
        self._note_success()
        if all(one.allowed for one in decisions):
            await self._send(claims, f"{once}.back")

    async def _reconcile(self) -> bool:
        """Tell the store what has been granted and given back without it; False where it still does not answer.

        Only once it knows all that does this process grant a share anew: an outage, however long, is worth one.
        """
        unsent, self._unsent = self._unsent, deque(maxlen=_MOST_UNKNOWN)
        told = bool(unsent)
        while unsent:
            if not await self._send(*unsent.popleft()):
                self._unsent.extend(unsent)
                return False
        owed, self._owed = self._owed, {}
        wanted = [one for one in owed.values() if not isinstance(one, Units) or one.cost]
        for start in range(0, len(wanted), _AT_ONCE):
            told, end = True, start + _AT_ONCE
            if not await self._send(wanted[start:end], next(self._words)):
                for one in wanted[end:]:
                    self._owe(one)
                return False
        self._share += 1
        if told:
            self._note_success()
        return True

    async def _done(self, work: Awaitable[None]) -> bool:
        try:
            if self.store.instant:
                await work
            else:
                async with asyncio.timeout(self._config.timeout):
                    await work
        except Exception as failure:  # noqa: BLE001 - the answer is decided whatever the store does
            self._note_failure(failure)
            return False
        return True

    def _in_share(self, claim: Claim, share: int) -> Claim:
        """A claim on this process's part of its limit."""
        key = f"share.{share}:{claim.key}"
        if isinstance(claim, Place):
            return attrs.evolve(claim, key=key, limit=claim.limit // self._processes)
        rate = attrs.evolve(claim.rate, capacity=claim.rate.capacity // self._processes)
        return attrs.evolve(claim, key=key, rate=rate)

    def _note_success(self) -> None:
        if self._outage.worked():
            log.warning("%s: state store %r counts again", self._name, self._config.state)

    def _note_failure(self, failure: Exception) -> None:
        """Say once that the store fails, and what follows."""
        if self._outage.failed(failure):
            what = {
                "deny": "refused",
                "allow": "let through uncounted",
                "local-share": f"counted here, with a part of {self._processes} of each limit",
            }[self._config.on_failure]
            reason = str(failure) or type(failure).__name__
            log.error("%s: state store %r fails (%s): requests are %s", self._name, self._config.state, reason, what)
