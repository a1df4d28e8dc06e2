"""``rate-limit`` against a model: requests come, are answered, fail, leave, in any order, and time passes."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import attrs
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmgate.spec import ExchangeView, Outcome, Principal, ProviderError, RateLimitError, StageContext, Usage
from llmgate.stages.interceptors.rate_limit import LimitConfig, RateLimit, RateLimitConfig
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock
from llmgate.testing.samples import sample_attempt, sample_exchange, sample_request
from llmgate.testing.transport import ScriptedTransport

DAY = 86400
REQUESTS, PERIOD, PLACES, TOKENS = 4, 60, 3, 500
CALLERS = ("ann", "bob")
LIMITS = (
    LimitConfig(REQUESTS, float(PERIOD), name="requests"),
    LimitConfig(PLACES, unit="concurrent", by=(), name="places"),
    LimitConfig(TOKENS, unit="tokens", window="day", name="tokens"),
)


class Model:
    """What the documentation says, in whole numbers and fractions."""

    def __init__(self):
        self.spent = dict.fromkeys(CALLERS, Fraction(0))
        self.at = dict.fromkeys(CALLERS, Fraction(0))
        self.tokens = {}
        self.held = 0

    def level(self, who, now):
        back = (now - self.at[who]) * REQUESTS / PERIOD
        self.spent[who], self.at[who] = max(Fraction(0), self.spent[who] - back), now
        return self.spent[who]

    def refused_by(self, who, now, day, cost):
        if self.level(who, now) + 1 > REQUESTS:
            return "requests"
        if self.held + 1 > PLACES:
            return "places"
        return "tokens" if self.tokens.get((who, day), 0) + cost > TOKENS else None

    def take(self, who, day, cost):
        self.spent[who] += 1
        self.held += 1
        self.tokens[who, day] = self.tokens.get((who, day), 0) + cost


class Limiter(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock, self.store, self.model = (
            FakeClock(now=1_700_000_000.0 // DAY * DAY),
            Memory(MemoryConfig()),
            Model(),
        )
        self.under_way = []
        self.now = Fraction(0)
        self.stage = RateLimit(RateLimitConfig(limits=LIMITS, assumed_output=100))
        context = StageContext(
            id="limits",
            clock=self.clock,
            transport=ScriptedTransport(),
            fetch_secret=None,
            state=lambda _: self.store,
        )
        self.runner.run(self.store.open(context))
        self.runner.run(self.stage.open(context))

    @property
    def day(self):
        return self.now // DAY

    @rule(who=st.sampled_from(CALLERS), size=st.integers(0, 100))
    def ask(self, who, size):
        request = attrs.evolve(sample_request(), body=b"x" * 4 * size)
        exchange = sample_exchange(request, principal=Principal(who, "keys"))
        cost = size + 100
        expected = self.model.refused_by(who, self.now, self.day, cost)
        reached = None
        try:
            self.runner.run(self.stage.before_request(ExchangeView(exchange), request))
        except RateLimitError as refused:
            reached = refused.message.split("'")[1]
        assert reached == expected
        if reached is not None:
            self.runner.run(self.stage.on_settle(ExchangeView(exchange)))
            return
        self.model.take(who, self.day, cost)
        self.under_way.append((exchange, who, self.day, cost))

    @precondition(lambda self: self.under_way)
    @rule(
        index=st.integers(0, 99), used=st.integers(0, 300), end=st.sampled_from(["answered", "failed", "left", "none"])
    )
    def settle(self, index, used, end):
        exchange, who, day, cost = self.under_way.pop(index % len(self.under_way))
        requests, tokens = 1, used
        if end == "answered":
            exchange.attempts.append(sample_attempt(outcome=Outcome(usage=Usage(input_tokens=used, output_tokens=0))))
        elif end == "failed":
            exchange.error = ProviderError("no", upstream_status=503)
            exchange.attempts.append(sample_attempt(error=exchange.error))
            requests, tokens = 0, 0
        elif end == "left":
            exchange.disconnected = True
            exchange.attempts.append(sample_attempt(error=ProviderError("left", lost=True)))
            tokens = cost
        else:
            requests, tokens = 0, 0
        for _ in range(2):
            self.runner.run(self.stage.on_settle(ExchangeView(exchange)))
        self.model.held -= 1
        self.model.spent[who] = max(Fraction(0), self.model.level(who, self.now) - (1 - requests))
        self.model.tokens[who, day] = max(0, self.model.tokens[who, day] - cost + tokens)

    @rule(eighths=st.sampled_from([1, 8, 60, 120, 480, 8 * 3600, 8 * DAY]))
    def wait(self, eighths):
        self.now += Fraction(eighths, 8)
        self.clock.advance(eighths / 8)

    @invariant()
    def as_many_places_are_held_as_requests_are_under_way(self):
        assert self.model.held == len(self.under_way)

    def teardown(self):
        for exchange, *_ in self.under_way:
            self.runner.run(self.stage.on_settle(ExchangeView(exchange)))
        taken = self.runner.run(self.store.lease("rate-limit:limits.1", "probe", limit=1, ttl=1.0))
        assert taken, "whatever has happened, nothing is held in the end"
        self.runner.run(self.stage.aclose())
        self.runner.close()


Limiter.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestLimiter = Limiter.TestCase
