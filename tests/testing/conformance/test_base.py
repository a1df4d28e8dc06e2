"""The kit's base finds the faults that it is there for, and cannot be talked out of looking."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import attrs
import pytest

from llmgate.spec import NoConfig, RoutingStrategy, Secret, SecretRef, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.base import StageConformance, nothing_opened
from llmgate.testing.conformance.routing import RoutingConformance


class Plain(RoutingStrategy[NoConfig]):
    """Nothing wrong with it."""

    name = "plain"

    def rank(self, view, deployments, context):
        return deployments


def kit(stage_class, **members):
    """The kit's class for a stage, made while a test runs."""
    return type("Kit", (StageConformance,), {"kind": "routing", "stage_class": stage_class, **members})()


def context(tmp_path):
    return kit(Plain).make_context(tmp_path, FakeClock())


async def test_a_plain_stage_passes(tmp_path):
    subject = kit(Plain)
    subject.test_is_of_its_kind()
    subject.test_name_is_a_slug()
    subject.test_config_refuses_unknown_keys()
    subject.test_construction_opens_nothing()
    for name in (
        "test_closes_twice",
        "test_closes_after_a_failed_open",
        "test_opens_again",
        "test_shows_no_secret",
    ):
        await getattr(subject, name)(context(tmp_path))
    await subject.test_closes_without_having_been_opened()


class TestFaultsAreFound:
    def test_another_kind(self):
        with pytest.raises(AssertionError, match=r"derive from llmgate\.spec\.Logger"):
            kit(Plain, kind="loggers").test_is_of_its_kind()

    def test_a_missing_method(self):
        with pytest.raises(AssertionError, match="abstract"):
            kit(type("Half", (RoutingStrategy,), {"name": "half"})).test_is_of_its_kind()

    @pytest.mark.parametrize("name", [None, "", "Under_Score", "-a", "a b"])
    def test_a_bad_name(self, name):
        with pytest.raises(AssertionError):
            kit(type("Named", (Plain,), {"name": name})).test_name_is_a_slug()

    def test_a_config_that_takes_anything(self):
        class Anything:
            def __init__(self, **keys):
                pass

        with pytest.raises(AssertionError, match="attrs class"):
            kit(type("Loose", (Plain,), {"config_class": Anything})).test_config_refuses_unknown_keys()

    def test_a_config_key_that_the_configuration_uses_itself(self):
        with pytest.raises(AssertionError, match="call the field something else"):
            kit(
                type("Taken", (Plain,), {"config_class": attrs.make_class("C", {"use": attrs.field(default=1)})})
            ).test_config_refuses_unknown_keys()

    @pytest.mark.parametrize(
        "effect",
        [
            socket.socket,
            lambda: Path("/dev/null").read_bytes(),
            lambda: threading.Thread(target=print).start(),
        ],
    )
    def test_a_constructor_with_side_effects(self, effect):
        class Eager(Plain):
            def __init__(self, config):
                super().__init__(config)
                effect()

        with pytest.raises(AssertionError, match=r"opens nothing before open\(\)"):
            kit(Eager).test_construction_opens_nothing()

    async def test_a_stage_that_closes_once_only(self, tmp_path):
        class Once(Plain):
            closed = False

            async def aclose(self):
                assert not self.closed, "closed twice"
                self.closed = True

        with pytest.raises(AssertionError, match="closed twice"):
            await kit(Once).test_closes_twice(context(tmp_path))

    async def test_a_stage_that_cannot_be_closed_after_a_failed_open(self, tmp_path):
        class Fragile(Plain):
            async def open(self, context):
                self.secret = await context.fetch_secret(SecretRef("env", "X"))

            async def aclose(self):
                del self.secret

        with pytest.raises(AttributeError):
            await kit(Fragile).test_closes_after_a_failed_open(context(tmp_path))

    async def test_a_secret_that_shows(self, tmp_path):
        class Shows(Plain):
            async def open(self, context):
                self.key = (await context.fetch_secret(SecretRef("env", "X"))).reveal()

            def __repr__(self):
                return f"Shows({self.key})"

        subject = kit(Shows, secrets={"env:X": "canary"})
        with pytest.raises(AssertionError, match="keep secrets"):
            await subject.test_shows_no_secret(subject.make_context(tmp_path, FakeClock()))


class TestTheKitCannotBeWeakened:
    def test_replacing_a_test_is_refused(self):
        with pytest.raises(TypeError, match="test_ranks_what_it_is_given replaces a test of the conformance kit"):

            class TestWeak(RoutingConformance):
                stage_class = Plain

                def test_ranks_what_it_is_given(self):
                    pass

    def test_taking_one_away_is_refused(self):
        with pytest.raises(TypeError, match="test_closes_twice"):
            type("TestWeak", (RoutingConformance,), {"stage_class": Plain, "test_closes_twice": None})

    def test_replacing_one_from_aside_is_refused(self):
        class Mixin:
            def test_opens_again(self):
                pass

        with pytest.raises(TypeError, match="test_opens_again"):
            type("TestWeak", (Mixin, RoutingConformance), {"stage_class": Plain})

    def test_a_mark_without_a_reason_does_not_help(self):
        with pytest.raises(TypeError, match="reason"):

            class TestWeak(RoutingConformance):
                @pytest.mark.xfail
                def test_opens_again(self):
                    pass

    def test_a_reason_does(self):
        class TestHonest(RoutingConformance):
            stage_class = Plain

            @pytest.mark.xfail(reason="it holds a device that can be opened once")
            def test_opens_again(self):
                pass

        assert TestHonest.test_opens_again

    def test_tests_of_ones_own_are_welcome(self):
        type("TestMore", (RoutingConformance,), {"stage_class": Plain, "test_mine": lambda self: None})


def test_the_guard_is_gone_when_it_is_over():
    with nothing_opened(), pytest.raises(AssertionError):
        socket.socket()
    socket.socket().close()


async def test_the_context_has_what_a_stage_may_ask_for(tmp_path):
    subject = kit(Plain, secrets={"env:X": "value"})
    made = subject.make_context(tmp_path, FakeClock())
    assert isinstance(made, StageContext)
    assert await made.fetch_secret(SecretRef("env", "X")) == Secret(value="value", ref=SecretRef("env", "X"))
    assert await made.state("memory").add("a") == 1
    await asyncio.sleep(0)
