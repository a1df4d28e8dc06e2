"""Peppers: an HMAC with a secret that is not in the database, and can be exchanged."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import pytest

from llmgate.spec import ConfigError, Peppers, Secret, SecretNotFoundError, SecretRef, StageContext
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing import FakeClock, ScriptedTransport

REF = SecretRef("env", "PEPPER")
PEPPER = "0123456789abcdef0123456789abcdef"
FORMER = "fedcba9876543210fedcba9876543210"


def with_secrets(secrets: Mapping[str, str]) -> StageContext:
    """What a stage is opened with where these secrets are kept."""

    async def fetch(ref: SecretRef) -> Secret:
        if str(ref) not in secrets:
            raise SecretNotFoundError(f"{ref} is not there")
        return Secret(secrets[str(ref)], ref)

    return StageContext("auth[0]", FakeClock(), ScriptedTransport(), fetch, lambda _: Memory(MemoryConfig()))


def test_a_hash_is_the_hmac_sha_256_under_the_pepper_in_force():
    peppers = Peppers([PEPPER.encode(), FORMER.encode()])
    assert peppers.hash_of("key") == hmac.new(PEPPER.encode(), b"key", hashlib.sha256).digest()
    assert peppers.hash_of("key", Peppers([FORMER.encode()]).current) == Peppers([FORMER.encode()]).hash_of("key")
    assert peppers.hash_of("key", "0" * 16) == peppers.hash_of("key")
    assert peppers.hash_of("\udc80")


def test_all_hashes_are_those_under_each_pepper():
    both = Peppers([PEPPER.encode(), FORMER.encode()])
    alone = [Peppers([one.encode()]).hash_of("key") for one in (PEPPER, FORMER)]
    assert both.hashes_of("key") == alone
    assert len(both.hashes_of("\udc80")) == 2


def test_peppers_do_not_print_themselves():
    assert PEPPER not in repr(Peppers([PEPPER.encode()]))


async def test_the_first_reference_is_the_one_in_force():
    context = with_secrets({"env:PEPPER": PEPPER, "env:OLD": FORMER})
    peppers = await Peppers.fetch([REF, SecretRef("env", "OLD")], context)
    assert peppers.current == Peppers([PEPPER.encode()]).current


@pytest.mark.parametrize("value", ["", "changeme", "x" * 64, "a" * 31, "0123456789abcdef0123456789abcde"])
async def test_what_could_be_guessed_is_refused_without_being_shown(value: str):
    with pytest.raises(ConfigError, match=r"env:PEPPER is no pepper.*openssl") as caught:
        await Peppers.fetch([REF], with_secrets({"env:PEPPER": value}))
    assert not value or value not in str(caught.value)


async def test_a_missing_pepper_is_named():
    with pytest.raises(SecretNotFoundError, match="env:PEPPER"):
        await Peppers.fetch([REF], with_secrets({}))
