"""Peppers: an HMAC with a secret that is not in the database, and can be exchanged."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from llmgate_store.keys.peppers import Peppers
from store_bench import FORMER, PEPPER, make_context

from llmgate.spec import ConfigError, SecretNotFoundError, SecretRef

REF = SecretRef("env", "PEPPER")


def test_a_hash_is_the_hmac_sha_256_under_the_pepper_in_force():
    peppers = Peppers([PEPPER.encode(), FORMER.encode()])
    assert peppers.hash_of("key") == hmac.new(PEPPER.encode(), b"key", hashlib.sha256).digest()
    assert peppers.hash_of("key", Peppers([FORMER.encode()]).current) == Peppers([FORMER.encode()]).hash_of("key")
    assert peppers.hash_of("key", "0" * 16) == peppers.hash_of("key")
    assert peppers.hash_of("\udc80")


def test_peppers_do_not_print_themselves():
    assert PEPPER not in repr(Peppers([PEPPER.encode()]))


async def test_the_first_reference_is_the_one_in_force(tmp_path: Path):
    context = make_context(tmp_path, secrets={"env:PEPPER": PEPPER, "env:OLD": FORMER})
    peppers = await Peppers.fetch([REF, SecretRef("env", "OLD")], context)
    assert peppers.current == Peppers([PEPPER.encode()]).current


@pytest.mark.parametrize("value", ["", "changeme", "x" * 64, "a" * 31, "0123456789abcdef0123456789abcde"])
async def test_what_could_be_guessed_is_refused_without_being_shown(tmp_path: Path, value: str):
    with pytest.raises(ConfigError, match=r"env:PEPPER is no pepper.*openssl") as caught:
        await Peppers.fetch([REF], make_context(tmp_path, secrets={"env:PEPPER": value}))
    assert not value or value not in str(caught.value)


async def test_a_missing_pepper_is_named(tmp_path: Path):
    with pytest.raises(SecretNotFoundError, match="env:PEPPER"):
        await Peppers.fetch([REF], make_context(tmp_path, secrets={}))
