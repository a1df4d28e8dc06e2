"""The interceptor itself: charges each request before it is routed, and settles the charge when it is over."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import math
from collections.abc import Sequence
from typing import Any

from llmgate.spec import (
    Aspect,
    Clock,
    ConfigError,
    ExchangeView,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    Rate,
    RateLimitError,
    StageContext,
    StateStore,
    SystemClock,
)

from .account import Account, Charge, Counted
from .config import LimitConfig, RateLimitConfig
from .headers import limit_headers
from .outage import Outage
from .policy import HEADER, read_policy
from .segments import segment_key, wants_body
from .tokens import estimated

__all__ = ["RateLimit", "RateLimitUnknownError"]

log = logging.getLogger("llmgate.limits")


class RateLimitUnknownError(GatewayError):
    """The state store that counts does not answer, and the rule is to deny (503)."""

    status_code = 503
    default_code = "rate_limit_unknown"


class RateLimit(Interceptor[RateLimitConfig]):
    """Holds requests to limits, by the generic cell rate algorithm.

    A request is charged once it keeps every limit. One that a limit refuses is charged by none, also not by the limits
    of another instance that let it through before. What is let through stays charged whatever becomes of it; tokens
    are charged by an estimate, which what was used replaces in the end.

    Its notes on an exchange: ``headers`` (what the answer says) and, on a refusal, ``metadata`` (``refused-by``).
    """

    name = "rate-limit"
    config_class = RateLimitConfig
    strict_state = True

    def __init__(self, config: RateLimitConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._store: StateStore[Any] | None = None
        self._id = self.name
        self._share = 1
        self._limits: Sequence[Counted] = ()
        self._outage = Outage(self._clock, config.pause)
        written = config.all_limits()
        if any(one.unit != "requests" or wants_body(one.by) for one in written) or config.policy_header:
            vars(self).update(reads=frozenset({Aspect.META, Aspect.REQUEST}))

    async def open(self, context: StageContext) -> None:
        """Find the store, and take this process's share where it is alone with its counts.

        Raises:
            ConfigError: there is no such store, or a limit cannot be divided among the workers.
        """
        store = context.state(self.config.state)
        self._share = 1 if store.shared else context.workers
        self._id, self._clock = context.id, context.clock
        self._outage = Outage(context.clock, self.config.pause)
        self._limits = [
            Counted(f"{context.id}.{index}", one.name or _called(one), one, self._rate(one))
            for index, one in enumerate(self.config.all_limits())
        ]
        self._store = store

    async def aclose(self) -> None:
        """Let go of the store."""
        self._store = None

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Charge the request.

        Raises:
            RateLimitError: a limit is reached.
            RateLimitUnknownError: the store does not answer.
            InvalidRequestError: the caller's own policy cannot be read.
        """
        policy = exchange.client_headers.get(HEADER) if self.config.policy_header else None
        wanted = self._charges(exchange, request, policy)
        if not wanted:
            return None
        notes = exchange.notes(self.name)
        account: Account = notes.setdefault("account", Account())
        account.undecided = True
        # A call over a network may be repeated on its way; within the process it cannot, and each word takes up room.
        once = exchange.id if wanted[0].store.shared else None
        if not await self._granted(account, wanted, once):
            await self._deny(account)
        decided = [one for one in wanted if one.decision is not None]
        self._tell(exchange, request, [*account.charges, *(one for one in decided if not _allowed(one))], policy)
        refused = next((one for one in decided if not _allowed(one)), None)
        if refused is not None:
            await self._guarded(account.release())
            notes["metadata"] = {"refused-by": f"{self._id} ({refused.limit.name})"}
            raise _refusal(refused)
        account.undecided = False
        return None

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Put what was used in the place of what was estimated; the first instance that is asked does it for all."""
        account: Account | None = exchange.notes(self.name).pop("account", None)
        if account is not None and account.is_open:
            await self._guarded(account.settle(exchange))

    def _rate(self, limit: LimitConfig) -> Rate:
        if limit.capacity < self._share:
            raise ConfigError(
                f"{self._id}: capacity: {limit.capacity} cannot be divided among {self._share} workers: raise it to "
                f"{self._share} or more, count in a shared state store, or serve with fewer workers"
            )
        return Rate(limit.capacity // self._share, limit.refill_frequency)

    def _charges(self, exchange: ExchangeView, request: GatewayRequest, policy: str | None) -> list[Charge]:
        assert self._store is not None, "a stage is opened before it serves"
        limits = list(self._limits)
        if policy is not None:
            own = read_policy(policy)
            rate = Rate(max(1, own.capacity // self._share), own.refill_frequency)
            limits.append(Counted(f"{self._id}.policy.{own.capacity}.{own.refill_frequency:g}", "policy", own, rate))
        charges = []
        for limit in limits:
            patterns = limit.config.models
            if patterns is not None and not any(fnmatch.fnmatchcase(request.model, one) for one in patterns):
                continue
            key = segment_key(limit.id, limit.config.by, exchange, request)
            cost = estimated(limit.config.unit, request, self.config.assumed_output)
            # One that is estimated above the whole capacity waits for all of it, rather than for ever.
            charges.append(Charge(self._store, limit, key, min(cost, limit.rate.capacity)))
        return charges

    async def _granted(self, account: Account, wanted: Sequence[Charge], once: str | None) -> bool:
        """Ask for each charge until one is refused; False where the store does not answer."""
        if not self._outage.admits():
            return False
        try:
            async with asyncio.timeout(self.config.timeout):
                for charge in wanted:
                    if not (await charge.acquire(once)).allowed:
                        break
                    account.charges.append(charge)
        except Exception as failure:  # noqa: BLE001 - whatever a store fails with, the operator has said what follows
            self._note_failure(failure)
            return False
        except BaseException:
            self._outage.abandoned()
            raise
        if self._outage.worked():
            log.warning("%s: state store %r counts again", self._id, self.config.state)
        return True

    async def _deny(self, account: Account) -> None:
        """What the operator wants where nothing can be counted.

        Raises:
            RateLimitUnknownError: it is to refuse.
        """
        if self.config.on_failure == "allow":
            return
        await self._guarded(account.release())
        raise RateLimitUnknownError(
            "the gateway cannot count requests now: try again later", retry_after=max(1.0, self.config.pause)
        )

    async def _guarded(self, work: Any) -> None:
        """Do work that changes nothing for the caller; where the store does not answer, what it held comes back."""
        try:
            async with asyncio.timeout(self.config.timeout):
                await work
        except Exception as failure:  # noqa: BLE001 - the answer is decided whatever the store does
            self._note_failure(failure)

    def _note_failure(self, failure: Exception) -> None:
        """Say once that the store fails, and what follows."""
        if self._outage.failed(failure):
            what = "refused" if self.config.on_failure == "deny" else "let through uncounted"
            reason = str(failure) or type(failure).__name__
            log.error("%s: state store %r fails (%s): requests are %s", self._id, self.config.state, reason, what)

    def _tell(
        self, exchange: ExchangeView, request: GatewayRequest, decided: Sequence[Charge], policy: str | None
    ) -> None:
        if decided:
            told = limit_headers(decided, request.format, self._clock.now(), policy)
            exchange.notes(self.name).setdefault("headers", {}).update(told)


def _allowed(charge: Charge) -> bool:
    return charge.decision is not None and charge.decision.allowed


def _called(limit: LimitConfig) -> str:
    """What a limit without a name is called: ``requests-per-api-key``."""
    by = "-".join(limit.by).replace(":", "-").replace("_", "-").replace(".", "-").lower()
    return f"{limit.unit}-per-{by}" if by else limit.unit


def _refusal(charge: Charge) -> RateLimitError:
    limit = charge.limit
    retry_after = charge.decision.retry_after if charge.decision is not None else None
    wait = f"{math.ceil(retry_after)} s" if retry_after is not None and math.isfinite(retry_after) else "a while"
    return RateLimitError(
        f"rate limit {limit.name!r} reached: {limit.rate.capacity:.0f} {limit.config.unit} in "
        f"{limit.rate.period:g} s; try again in {wait}",
        retry_after=retry_after,
    )
