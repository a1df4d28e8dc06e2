"""The kit tells secret stores that leak, or that do not notice, from those that do."""

from __future__ import annotations

import pytest

from llmgate.spec import (
    NoConfig,
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance.secrets import SecretConformance


class Sound(SecretStore[NoConfig]):
    name = "sound"
    values: dict = {}

    async def fetch(self, ref):
        value = self.values.get(ref.path)
        if not value:
            raise SecretNotFoundError(f"{ref} is not there; put it there")
        return Secret(value=value, ref=ref)


class Far(Sound):
    """Calls somebody: the pipeline keeps its secrets."""

    reachable = True

    @property
    def caching(self):
        return SecretCaching(refresh=5, pause=1)

    async def fetch(self, ref):
        if not type(self).reachable:
            raise SecretUnavailableError(f"{ref}: nobody answers")
        return await super().fetch(ref)


class Confuses(Far):
    """Takes nobody who can say for nothing there."""

    async def fetch(self, ref):
        if not type(self).reachable:
            raise SecretNotFoundError(f"{ref} is not there; put it there")
        return await super().fetch(ref)


class Leaks(Sound):
    async def fetch(self, ref):
        try:
            return await super().fetch(ref)
        except SecretNotFoundError:
            raise SecretNotFoundError(f"{ref} is not in {self.values}") from None


class Keeps(Sound):
    """Never looks again."""

    async def fetch(self, ref):
        kept = self.__dict__.setdefault("kept", {})
        if ref.path not in kept:
            kept[ref.path] = await super().fetch(ref)
        return kept[ref.path]


class Raises(Sound):
    async def fetch(self, ref):
        return Secret(value=self.values[ref.path], ref=ref)


class Forgets(Sound):
    async def fetch(self, ref):
        return Secret(value=(await super().fetch(ref)).reveal())


def kit(stage_class):
    values = {}

    def plant(self, context, path, value):
        values[path] = value

    def uproot(self, context, path):
        del values[path]

    def cut(self, context):
        subject.reachable = False

    subject = type(stage_class.__name__, (stage_class,), {"values": values})
    own = {"stage_class": subject, "plant": plant, "uproot": uproot, "cut": cut}
    return type("Kit", (SecretConformance,), own)()


async def run(stage_class, test, tmp_path, *args):
    subject, clock = kit(stage_class), FakeClock()
    context = subject.make_context(tmp_path, clock)
    known = {"clock": clock}
    code = getattr(subject, test).__code__
    extra = {name: known[name] for name in code.co_varnames[: code.co_argcount] if name in known}
    await getattr(subject, test)(context, *args, **extra)


ALL = [
    "test_finds_a_secret",
    "test_says_what_is_missing",
    "test_awkward_values_come_back_whole",
    "test_many_ask_at_once",
    "test_notices_a_changed_value",
    "test_notices_that_a_secret_is_gone",
    "test_looks_again_when_it_is_told_to",
    "test_nobody_who_can_say_is_not_nothing_there",
    "test_an_empty_value_is_no_secret",
]


@pytest.mark.parametrize("test", ALL)
@pytest.mark.parametrize("stage_class", [Sound, Far])
async def test_a_sound_store_passes(stage_class, test, tmp_path):
    await run(stage_class, test, tmp_path)


@pytest.mark.parametrize(
    ("stage_class", "test", "error"),
    [
        (Leaks, "test_says_what_is_missing", AssertionError),
        (Keeps, "test_notices_a_changed_value", AssertionError),
        (Keeps, "test_notices_that_a_secret_is_gone", pytest.fail.Exception),
        (Raises, "test_says_what_is_missing", KeyError),
        (Raises, "test_an_empty_value_is_no_secret", pytest.fail.Exception),
        (Confuses, "test_nobody_who_can_say_is_not_nothing_there", SecretNotFoundError),
        (Forgets, "test_finds_a_secret", AssertionError),
    ],
)
async def test_a_fault_is_found(stage_class, test, error, tmp_path):
    with pytest.raises(error):
        await run(stage_class, test, tmp_path)


async def test_awkward_names_are_tried(tmp_path):
    await run(Sound, "test_awkward_names_are_not_found", tmp_path, "../..")
    with pytest.raises(KeyError):
        await run(Raises, "test_awkward_names_are_not_found", tmp_path, "../..")


def test_a_kit_that_is_not_told_where_secrets_live_says_so(tmp_path):
    subject = type("Kit", (SecretConformance,), {"stage_class": Sound})()
    for method in (lambda: subject.plant(None, "a", "b"), lambda: subject.uproot(None, "a")):
        with pytest.raises(NotImplementedError, match="tell the kit"):
            method()


def test_the_reference_names_the_store():
    assert kit(Sound).ref == SecretRef("sound", "CANARY")
