"""The kit tells secret stores that leak, or that do not notice, from those that do."""

from __future__ import annotations

import pytest

from llmgate.spec import NoConfig, Secret, SecretNotFoundError, SecretRef, SecretStore
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

    subject = type(stage_class.__name__, (stage_class,), {"values": values})
    return type("Kit", (SecretConformance,), {"stage_class": subject, "plant": plant, "uproot": uproot})()


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
    "test_an_empty_value_is_no_secret",
]


@pytest.mark.parametrize("test", ALL)
async def test_a_sound_store_passes(test, tmp_path):
    await run(Sound, test, tmp_path)


@pytest.mark.parametrize(
    ("stage_class", "test", "error"),
    [
        (Leaks, "test_says_what_is_missing", AssertionError),
        (Keeps, "test_notices_a_changed_value", AssertionError),
        (Keeps, "test_notices_that_a_secret_is_gone", pytest.fail.Exception),
        (Raises, "test_says_what_is_missing", KeyError),
        (Raises, "test_an_empty_value_is_no_secret", pytest.fail.Exception),
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
