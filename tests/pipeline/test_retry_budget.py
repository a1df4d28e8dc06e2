from __future__ import annotations

import random

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from llmgate.config.model import RetryBudgetConfig
from llmgate.pipeline.retry_budget import RetryBudget


def taken(budget: RetryBudget, now: float, most: int = 1000) -> int:
    """How many extra attempts can be taken at once."""
    return next((count for count in range(most) if not budget.withdraw(now)), most)


def test_a_quiet_gateway_has_its_floor() -> None:
    budget = RetryBudget(RetryBudgetConfig())
    budget.request(1000.0)
    assert taken(budget, 1000.0) == 10
    assert budget.refused == 1


def test_a_busy_one_has_a_share_beside() -> None:
    budget = RetryBudget(RetryBudgetConfig(ratio=0.2, floor=3))
    for _ in range(100):
        budget.request(1000.0)
    assert taken(budget, 1000.0) == 23


def test_what_has_been_spent_comes_back_after_the_window() -> None:
    budget = RetryBudget(RetryBudgetConfig(floor=2, window=10.0))
    assert taken(budget, 1000.0) == 2
    assert taken(budget, 1008.9) == 0
    assert taken(budget, 1010.0) == 2
    assert taken(budget, 5000.0) == 2, "after hours of quiet, too"


def test_requests_of_long_ago_earn_nothing() -> None:
    budget = RetryBudget(RetryBudgetConfig(ratio=1.0, floor=0, window=10.0))
    for _ in range(50):
        budget.request(1000.0)
    assert taken(budget, 1010.0) == 0


def test_none_at_all_can_be_allowed() -> None:
    budget = RetryBudget(RetryBudgetConfig(ratio=0, floor=0))
    budget.request(0.0)
    assert taken(budget, 0.0) == 0


def test_a_clock_that_stands_or_goes_back_a_little_does_no_harm() -> None:
    budget = RetryBudget(RetryBudgetConfig(floor=5))
    assert taken(budget, 1000.0) == 5
    assert taken(budget, 995.0) == 0


def test_within_no_window_is_more_spent_than_the_rule_allows() -> None:
    """Whatever comes when: an oracle that remembers every moment agrees within one slot."""
    chance = random.Random(1)
    config = RetryBudgetConfig(ratio=0.2, floor=4, window=10.0)
    budget, now = RetryBudget(config), 1000.0
    requests: list[float] = []
    extras: list[float] = []
    for _ in range(3000):
        now += chance.random() * 0.4
        if chance.random() < 0.5:
            budget.request(now)
            requests.append(now)
        elif budget.withdraw(now):
            extras.append(now)
            recent = sum(one > now - config.window for one in requests)
            spent = sum(one > now - config.window * 0.9 for one in extras)
            assert spent <= config.floor + config.ratio * recent
    assert extras


class Budget(RuleBasedStateMachine):
    """Requests and repeats come in any order and at any time; a model keeps every one of them, by slots."""

    def __init__(self) -> None:
        super().__init__()
        self.config = RetryBudgetConfig(ratio=0.5, floor=2, window=10.0)
        self.budget = RetryBudget(self.config)
        self.now = 1000.0
        self.requests: list[int] = []
        self.extras: list[int] = []
        self.refused = 0

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 4.0, 9.9, 10.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 5))
    def requests_come(self, count: int) -> None:
        for _ in range(count):
            self.budget.request(self.now)
            self.requests.append(int(self.now))

    @rule()
    def a_repeat_is_wanted(self) -> None:
        slot = int(self.now)
        recent = sum(at > slot - 10 for at in self.requests)
        spent = sum(at > slot - 10 for at in self.extras)
        allowed = spent + 1 <= 2 + 0.5 * recent
        assert self.budget.withdraw(self.now) is allowed
        if allowed:
            self.extras.append(slot)
        else:
            self.refused += 1
        assert self.budget.refused == self.refused


TestBudget = Budget.TestCase
TestBudget.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
