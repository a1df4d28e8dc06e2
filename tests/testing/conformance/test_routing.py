"""The kit tells strategies that would repeat, invent or remember too much from those that do not."""

from __future__ import annotations

import random

import pytest

from llmgate.spec import NoConfig, RoutingStrategy
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.routing import RoutingConformance
from llmgate.testing.samples import sample_deployment


def kit(rank, *, weighs=False, **methods):
    subject = type(
        "Subject", (RoutingStrategy,), {"name": "subject", "rank": rank, "config_class": NoConfig, **methods}
    )
    return type("Kit", (RoutingConformance,), {"stage_class": subject, "weighs": weighs})()


def context(subject, tmp_path):
    return subject.make_context(tmp_path, FakeClock())


def by_weight(self, view, deployments, context):
    return sorted(deployments, key=lambda one: -(context.random() ** (1 / one.weight)))


def sorts_the_input(self, view, deployments, context):
    deployments.sort(key=lambda one: one.weight)
    return list(deployments)


async def test_a_sound_strategy_passes(tmp_path):
    subject = kit(by_weight, weighs=True)
    for count in (0, 1, 3, 100):
        await subject.test_ranks_what_it_is_given(context(subject, tmp_path), count)
    await subject.test_the_same_dice_give_the_same_answer(context(subject, tmp_path))
    await subject.test_learning_never_raises(context(subject, tmp_path))
    await subject.test_weights_are_kept(context(subject, tmp_path))
    subject.test_is_synchronous()


@pytest.mark.parametrize(
    ("rank", "message"),
    [
        (lambda self, view, given, context: [*given, *given], "tried once"),
        (lambda self, view, given, context: [*given, sample_deployment("made/up")], "add nothing"),
        (lambda self, view, given, context: [], "without a deployment"),
        (sorts_the_input, "rank a copy"),
    ],
)
async def test_a_wrong_answer_is_found(rank, message, tmp_path):
    subject = kit(rank)
    with pytest.raises(AssertionError, match=message):
        await subject.test_ranks_what_it_is_given(context(subject, tmp_path), 10)


async def test_dice_of_its_own_are_found(tmp_path):
    subject = kit(lambda self, view, given, context: random.sample(given, len(given)))
    with pytest.raises(AssertionError):
        await subject.test_the_same_dice_give_the_same_answer(context(subject, tmp_path))


async def test_weights_that_are_not_kept_are_found(tmp_path):
    subject = kit(lambda self, view, given, context: given, weighs=True)
    with pytest.raises(AssertionError, match=r"weight 1 of 8 came first in 100\.0%"):
        await subject.test_weights_are_kept(context(subject, tmp_path))


async def test_a_strategy_that_says_it_does_not_weigh_must_not(tmp_path):
    """A capability that is off is tested too: weights must then change nothing."""
    subject = kit(by_weight)
    with pytest.raises(AssertionError, match="weights count here: set `weighs`"):
        await subject.test_weights_are_kept(context(subject, tmp_path))
    subject = kit(lambda self, view, given, context: sorted(given, key=lambda one: context.random()))
    await subject.test_weights_are_kept(context(subject, tmp_path))


async def test_a_strategy_that_trips_over_an_attempt_is_found(tmp_path):
    subject = kit(by_weight, finished=lambda self, attempt: attempt.finished - attempt.first_content)
    with pytest.raises(TypeError):
        await subject.test_learning_never_raises(context(subject, tmp_path))


def test_a_coroutine_is_found():
    async def rank(self, view, deployments, context):
        return deployments

    with pytest.raises(AssertionError, match="make rank a plain method"):
        kit(rank).test_is_synchronous()
