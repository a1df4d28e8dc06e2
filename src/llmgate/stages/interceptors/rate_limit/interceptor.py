"""The interceptor itself: charges each request before it is routed, and settles the charge when it is over."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Final, cast

from llmgate.spec import (
    Aspect,
    Attempt,
    CallerLimit,
    Claim,
    Clock,
    ConfigError,
    Deployment,
    ExchangeView,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    Place,
    RateLimitError,
    StageContext,
    SystemClock,
    Units,
)

from .account import Account, Charge, Counted, Grant
from .config import LimitConfig, RateLimitConfig, UnitName
from .counting import Counting
from .headers import HeaderPlan, PlannedHeaders, limit_headers, policy_headers
from .policy import HEADER, read_policy
from .reach import concerns, goes_by_attempt
from .segments import segment_suffix, wants_body
from .units import CENTS, UNITS, Ended

__all__ = ["RateLimit", "RateLimitUnknownError"]

log = logging.getLogger("llmgate.limits")

MOST_OWN: Final = 1000
"""Different limits of callers' own that are kept ready; what they have counted is in the store."""


class RateLimitUnknownError(GatewayError):
    """The state store that counts does not answer, and the rule is to deny (503)."""

    status_code = 503
    default_code = "rate_limit_unknown"


class RateLimit(Interceptor[RateLimitConfig]):
    """Holds requests to limits, by the generic cell rate algorithm or by the calendar.

    A request is charged once it keeps every limit. One that a limit refuses is charged by none, also not by the limits
    of another instance that let it through before. It is charged by an estimate, which what was used replaces in the
    end. Limits that depend on where it goes (by provider, or by the models of a chain) are decided for each attempt;
    one that is refused leaves its deployment out.

    Its notes on an exchange: ``headers`` (what the answer says) and ``metadata``: on a refusal ``refused-by``, and
    ``waited`` (seconds) where it has waited for its turn.
    """

    name = "rate-limit"
    config_class = RateLimitConfig
    strict_state = True

    def __init__(self, config: RateLimitConfig) -> None:
        super().__init__(config)
        self._clock: Clock = SystemClock()
        self._counting: Counting | None = None
        self._id = self.name
        self._share = 1
        self._lease = config.lease
        self._limits: Sequence[Counted] = ()
        self._plans: dict[str, HeaderPlan] = {}
        self._own: dict[CallerLimit, Counted] = {}
        written = config.all_limits()
        if not config.policy_header and not any(
            "provider" in one.by or "model" in one.by or one.models is not None or one.unit == "cents"
            for one in written
        ):
            self.skips = frozenset({"before_attempt", "after_attempt"})
        self._alike = bool(self.skips) and not config.own_limits
        """Whether every request is charged by the same limits."""
        if any(UNITS[one.unit].reads_body or wants_body(one.by) for one in written) or (
            config.policy_header or config.own_limits
        ):
            vars(self).update(reads=frozenset({Aspect.META, Aspect.REQUEST}))

    async def open(self, context: StageContext) -> None:
        """Find the store, and take this process's share where it is alone with its counts.

        Raises:
            ConfigError: there is no such store, or a limit cannot be divided among the workers.
        """
        config, store = self.config, context.state(self.config.state)
        self._share = 1 if store.shared else context.workers
        self.settles_at_once = store.instant
        self._id, self._clock = context.id, context.clock
        # What others share outlives this process, so places there must end by themselves.
        lease = self._lease = config.lease if store.shared else math.inf
        self._limits = [
            Counted(f"{context.id}.{index}", one.name or _called(one), one, self._capacity(one), lease, store.shared)
            for index, one in enumerate(config.all_limits())
        ]
        self._plans = {}
        local = context.state("memory") if config.on_failure == "local-share" else store
        self._counting = Counting(store, local, context.clock, config, context.id, config.processes or context.workers)

    async def aclose(self) -> None:
        """Let go of the store."""
        counting, self._counting = self._counting, None
        if counting is not None:
            await counting.aclose()

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Charge the request.

        Raises:
            RateLimitError: a limit is reached.
            RateLimitUnknownError: the store does not answer.
            InvalidRequestError: the caller's own policy cannot be read.
        """
        notes = exchange.notes(self.name)
        if self._alike and not notes:
            # The usual way, in one pass: all limits grant, in a store that takes no time. Where they do not, nothing
            # has been taken, and the request goes the way that knows what to do.
            counting, plan = self._counting, self._plans.get(request.format) or self._plan(request.format)
            assert counting is not None, "a stage is opened before it serves"
            if plan.fits and counting.at_once:
                claims = self._claims(self._limits, exchange, request)
                try:
                    decisions = await counting.store.claim(claims)
                except Exception:  # noqa: BLE001 - it is asked again, and then its failure is told
                    decisions = ()
                if decisions and decisions[-1].allowed:  # where one is refused it is the last
                    notes["grant"] = Grant(counting, self._limits, claims, decisions)
                    notes["verdicts"] = {"limit": "passed"}
                    notes["headers"] = PlannedHeaders(plan, decisions, self._clock.now() if plan.tells_time else 0.0)
                    return None
        await self._charge(notes, exchange, request)
        return None

    def _plan(self, wire_format: str) -> HeaderPlan:
        """What is told of the limits to callers of a wire format, where all of them grant."""
        plan = self._plans[wire_format] = HeaderPlan(self._limits, wire_format)
        plan.fits = plan.fits and not self.config.wait
        return plan

    async def _charge(self, notes: dict[str, Any], exchange: ExchangeView, request: GatewayRequest) -> None:
        """Charge the request by whatever limits concern it, and tell what they say."""
        policy = exchange.client_headers.get(HEADER) if self.config.policy_header else None
        wanted = self._charges(exchange, request, policy)
        if not wanted:
            return
        account: Account | None = notes.get("account")
        if account is None:
            grant: Grant | None = notes.pop("grant", None)  # another instance's
            account = notes["account"] = Account([] if grant is None else grant.charges())
        notes.setdefault("verdicts", {}).setdefault("limit", "passed")
        if self.config.wait:
            refused = await self._admitted(account, wanted, exchange, request)
        else:
            refused = await self._ask(account, wanted, exchange.id)
        told = [*account.charges, *(one for one in wanted if one.decision is not None and one not in account.charges)]
        if told:
            headers = limit_headers(told, request.format, self._clock.now(), policy)
            notes["headers"] = {**notes.get("headers", {}), **headers}
        if refused is not None:
            await account.release()
            _note_refusal(notes, f"{self._id} ({refused.limit.name})")
            raise _refusal(refused)

    async def before_attempt(self, exchange: ExchangeView, attempt: Attempt) -> bool:
        """Charge the attempt by the limits that depend on where it goes; a refusal leaves its deployment out."""
        request, policy = exchange.request, None
        known = self._limits
        if self.config.policy_header:
            policy = exchange.notes(self.name).get("policies", {}).get(id(self))
            known = known if policy is None else (*known, policy)
        limits = [
            one
            for one in known
            if goes_by_attempt(one.config, request) and concerns(one.config, request, attempt.deployment)
        ]
        priceless = self._priceless(limits, request, attempt.deployment)
        if priceless is not None:
            attempt.error = _unpriced(priceless, attempt.deployment)
            return False
        wanted = self._asked_of(limits, exchange, request, attempt.deployment)
        if not wanted:
            return True
        account = Account()
        exchange.notes(self.name).setdefault("attempts", {})[id(self), attempt.index] = account
        refused = await self._ask(account, wanted, f"{exchange.id}.{attempt.index}")
        if policy is not None:
            decided = [one for one in wanted if one.decision is not None]
            told = policy_headers(decided, exchange.client_headers.get(HEADER, ""))
            notes = exchange.notes(self.name)
            notes["headers"] = {**notes.get("headers", {}), **told}
        if refused is None:
            return True
        await account.release()
        _note_refusal(exchange.notes(self.name), f"{self._id} ({refused.limit.name})", "skipped")
        attempt.error = _refusal(refused)
        return False

    async def after_attempt(self, exchange: ExchangeView, attempt: Attempt) -> None:
        """Settle what the attempt was charged; nothing was used by one that has not begun."""
        account: Account | None = exchange.notes(self.name).get("attempts", {}).pop((id(self), attempt.index), None)
        if account is None:
            return
        if attempt in exchange.attempts:
            await account.settle(Ended.of_attempt(attempt))
        else:
            await account.release()

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Put what was used in the place of what was estimated; the first instance that is asked does it for all."""
        notes = exchange.notes(self.name)
        if "grant" in notes:
            grant: Grant = notes.pop("grant")
            if not grant.counting.at_once:
                await grant.counting.settle(grant.charges(), Ended.of(exchange))
            elif left := grant.left(Ended.of(exchange)):
                await grant.counting.give_back_at_once(left)
        account: Account | None = notes.pop("account", None)
        if "attempts" in notes:
            for left in notes.pop("attempts").values():
                await left.release()
        if account is not None:
            await account.settle(Ended.of(exchange))

    def _priceless(self, limits: Sequence[Counted], request: GatewayRequest, deployment: Deployment) -> Counted | None:
        """The limit of money that cannot hold an attempt, since nobody knows what it will cost; None for none."""
        strict = [one for one in limits if one.unit is CENTS and one.config.unknown_price == "deny"]
        return strict[0] if strict and self._estimate(strict[0], request, deployment) is None else None

    def _estimate(self, limit: Counted, request: GatewayRequest, deployment: Deployment | None) -> float | None:
        if limit.unit is CENTS and deployment is not None:
            return CENTS.priced(request, self.config.assumed_output, deployment, self._clock.now())
        return limit.unit.estimate(request, self.config.assumed_output)

    def _capacity(self, limit: LimitConfig) -> int:
        if limit.capacity < self._share:
            raise ConfigError(
                f"{self._id}: capacity: {limit.capacity} cannot be divided among {self._share} workers: raise it to "
                f"{self._share} or more, count in a shared state store, or serve with fewer workers"
            )
        return limit.capacity // self._share

    def _charges(self, exchange: ExchangeView, request: GatewayRequest, policy: str | None) -> list[Charge]:
        limits = self._limits
        if policy is not None:
            own = self._policy(policy)
            if goes_by_attempt(own.config, request):
                exchange.notes(self.name).setdefault("policies", {})[id(self)] = own
            limits = (*limits, own)
        if self.config.own_limits and exchange.principal.limits:
            limits = (*limits, *map(self._counted, exchange.principal.limits))
        if not self.skips:  # some limits may be an attempt's
            limits = [
                one for one in limits if not goes_by_attempt(one.config, request) and concerns(one.config, request)
            ]
        return self._asked_of(limits, exchange, request)

    def _policy(self, text: str) -> Counted:
        """The limit that a caller asks for itself; all who ask for the same one are counted apart."""
        own = read_policy(text)
        unit = "" if own.unit == "requests" else f".{own.unit}"
        name = f"{self._id}.policy{unit}.{own.capacity}.{own.refill_frequency:g}"
        return Counted(name, "policy", own, max(1, own.capacity // self._share))

    def _counted(self, own: CallerLimit) -> Counted:
        """A limit that callers have by themselves; all who have the same one are counted apart."""
        found = self._own.get(own)
        if found is None:
            if len(self._own) >= MOST_OWN:
                self._own.clear()
            name = f"{self._id}.own.{own.unit}.{own.capacity}.{own.period or 0:g}"
            limit = LimitConfig(own.capacity, own.period, cast("UnitName", own.unit))
            found = self._own[own] = Counted(name, "own", limit, max(1, own.capacity // self._share), self._lease)
        return found

    def _asked_of(
        self,
        limits: Sequence[Counted],
        exchange: ExchangeView,
        request: GatewayRequest,
        deployment: Deployment | None = None,
    ) -> list[Charge]:
        """What each limit is asked."""
        counting = self._counting
        assert counting is not None, "a stage is opened before it serves"
        claims = self._claims(limits, exchange, request, deployment)
        return [Charge(counting, limit, claim) for limit, claim in zip(limits, claims, strict=True)]

    def _claims(
        self,
        limits: Sequence[Counted],
        exchange: ExchangeView,
        request: GatewayRequest,
        deployment: Deployment | None = None,
    ) -> list[Claim]:
        """What the store is asked; limits side by side that count by the same segments share the work of it."""
        claims: list[Claim] = []
        by, suffix, holder, assumed = None, "", exchange.id, self.config.assumed_output
        for limit in limits:
            if limit.by != by:
                by = limit.by
                suffix = segment_suffix(by, exchange, request, deployment)
            cost = limit.always
            if cost is None:
                # One that is estimated above the whole capacity waits for all of it, rather than for ever.
                if deployment is None:
                    cost = limit.unit.estimate(request, assumed)
                else:
                    cost = self._estimate(limit, request, deployment) or 0.0
                if cost > limit.capacity:
                    cost = limit.capacity
            if limit.rate is not None:
                claims.append(Units(limit.prefix + suffix, limit.rate, cost))
            elif limit.at_once:
                claims.append(Place(limit.prefix + suffix, holder, limit.places, limit.lease))
            else:
                claims.append(limit.claim(limit.prefix + suffix, cost, holder, self._clock))
        return claims

    async def _admitted(
        self, account: Account, wanted: list[Charge], exchange: ExchangeView, request: GatewayRequest
    ) -> Charge | None:
        """Ask for the charges, and wait for them where that is wanted; tells the one that is refused in the end."""
        lines = wanted[0].counting.lines
        busy = lines.before(one.claim.key for one in wanted)
        refused = None if busy is not None else await self._ask(account, wanted, exchange.id)
        if not self.config.wait or (busy is None and refused is None):
            return refused
        started, tries = self._clock.monotonic(), 0

        async def again() -> Charge | None:
            nonlocal tries, refused
            tries += 1
            refused = await self._ask(account, wanted, f"{exchange.id}.again.{tries}")
            return refused

        key = busy if refused is None or busy is not None else refused.claim.key
        assert key is not None, "either others wait or a charge is refused"
        try:
            await lines.wait(key, request.deadline or math.inf, again)
        except TimeoutError:
            refused = refused or await self._ask(account, wanted, f"{exchange.id}.again")
        waited = self._clock.monotonic() - started
        notes = exchange.notes(self.name)
        notes.setdefault("metadata", {})["waited"] = f"{waited:.3f}"
        notes.setdefault("verdicts", {})["limit"] = "waited"
        return refused

    async def _ask(self, account: Account, wanted: list[Charge], word: str) -> Charge | None:
        """Have the charges decided; tells the one that is refused.

        Raises:
            RateLimitUnknownError: nobody decides, and requests are to be refused then.
        """
        counting = wanted[0].counting
        if counting.quick:  # nobody can leave meanwhile
            decided = await counting.decide(wanted, None)
        else:
            once = word if counting.repeatable else None
            account.asked = wanted, once
            decided = await counting.decide(wanted, once)
            account.asked = None
        if not decided:
            if self.config.on_failure == "allow":
                return None
            await account.release()
            raise RateLimitUnknownError(
                "the gateway cannot count requests now: try again later", retry_after=max(1.0, self.config.pause)
            )
        for one in wanted:
            if one.decision is not None and not one.decision.allowed:
                return one
        account.charges += wanted
        return None


def _note_refusal(notes: dict[str, Any], by: str, verdict: str = "refused") -> None:
    """Tell the record which limit has refused, or left a deployment out."""
    notes["metadata"] = {"refused-by": by}
    notes["verdicts"] = {"limit": f"{verdict}: {by}"}


def _called(limit: LimitConfig) -> str:
    """What a limit without a name is called: ``requests-per-api-key``."""
    by = "-".join(limit.by).replace(":", "-").replace("_", "-").replace(".", "-").lower()
    return f"{limit.unit}-per-{by}" if by else limit.unit


def _unpriced(limit: Counted, deployment: Deployment) -> RateLimitError:
    return RateLimitError(
        f"limit {limit.name!r} counts money, and nobody knows what {deployment.id} costs: its price is missing under "
        "prices.models, or unknown-price: allow"
    )


def _refusal(charge: Charge) -> RateLimitError:
    limit = charge.limit
    retry_after = charge.decision.retry_after if charge.decision is not None else None
    wait = f"{math.ceil(retry_after)} s" if retry_after is not None and math.isfinite(retry_after) else "a while"
    if limit.at_once:
        what = f"{limit.capacity:.0f} requests at once"
    elif limit.config.window is not None:
        what = f"{limit.capacity:.0f} {limit.config.unit} a {limit.config.window}"
    else:
        what = f"{limit.capacity:.0f} {limit.config.unit} in {limit.config.refill_frequency:g} s"
    return RateLimitError(f"rate limit {limit.name!r} reached: {what}; try again in {wait}", retry_after=retry_after)
