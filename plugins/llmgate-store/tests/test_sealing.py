"""Sealing: what is sealed opens with its master key, under its own name and version, unchanged, and not otherwise."""

from __future__ import annotations

import base64
from pathlib import Path

import attrs
import pytest
from llmgate_store.vault.sealing import MasterKeys, Sealed, UnsealError
from store_bench import make_context

from llmgate.spec import ConfigError, SecretRef

OLD, NEW = bytes(range(32)), bytes(range(255, 223, -1))
VALUE = "sk-proj-canary-0123456789"


def test_what_is_sealed_opens_and_shows_nothing_before():
    keys = MasterKeys([NEW])
    for value in (VALUE, "", "ключ-\U0001f511", "\udc80", "x" * 16_384):
        sealed = keys.seal("openai", 1, value)
        assert keys.unseal("openai", 1, sealed) == value
        if value:
            assert value.encode("utf-8", "surrogatepass") not in sealed.ciphertext + sealed.wrapped_key
        assert value == "" or value not in repr(sealed)
    assert NEW.hex() not in repr(keys)


def test_no_two_are_sealed_alike():
    keys = MasterKeys([NEW])
    one, two = keys.seal("openai", 1, VALUE), keys.seal("openai", 1, VALUE)
    assert one.ciphertext != two.ciphertext
    assert one.wrapped_key != two.wrapped_key


def test_it_opens_in_its_own_place_only():
    keys = MasterKeys([NEW])
    sealed = keys.seal("openai", 1, VALUE)
    other = keys.seal("other", 1, "other")
    for name, version, moved in (
        ("other", 1, sealed),
        ("openai", 2, sealed),
        ("openai", 1, attrs.evolve(other, wrapped_key=sealed.wrapped_key)),
        ("openai", 1, attrs.evolve(sealed, wrapped_key=other.wrapped_key)),
    ):
        with pytest.raises(UnsealError):
            keys.unseal(name, version, moved)


def test_every_changed_byte_is_noticed():
    keys = MasterKeys([NEW])
    sealed = keys.seal("openai", 1, VALUE)
    for field in ("ciphertext", "wrapped_key"):
        whole = getattr(sealed, field)
        for place in range(len(whole)):
            changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            with pytest.raises(UnsealError):
                keys.unseal("openai", 1, attrs.evolve(sealed, **{field: changed}))
        for short in (b"", whole[:12], whole[:-1]):
            with pytest.raises(UnsealError):
                keys.unseal("openai", 1, attrs.evolve(sealed, **{field: short}))


def test_another_master_key_opens_nothing_and_is_named():
    sealed = MasterKeys([OLD]).seal("openai", 1, VALUE)
    with pytest.raises(UnsealError, match=MasterKeys([OLD]).current):
        MasterKeys([NEW]).unseal("openai", 1, sealed)
    with pytest.raises(UnsealError, match="changed, or moved"):
        MasterKeys([NEW]).unseal("openai", 1, attrs.evolve(sealed, master_id=MasterKeys([NEW]).current))


def test_sealed_anew_it_opens_with_the_new_key_and_the_secret_is_untouched():
    sealed = MasterKeys([OLD]).seal("openai", 1, VALUE)
    anew = MasterKeys([NEW, OLD]).sealed_anew("openai", 1, sealed)
    assert anew.ciphertext == sealed.ciphertext
    assert MasterKeys([NEW]).unseal("openai", 1, anew) == VALUE
    with pytest.raises(UnsealError):
        MasterKeys([NEW]).sealed_anew("openai", 1, Sealed(sealed.ciphertext, sealed.wrapped_key, sealed.master_id))


@pytest.mark.parametrize("text", [NEW.hex(), NEW.hex().upper(), base64.b64encode(NEW).decode(), f" {NEW.hex()}\n"])
async def test_a_master_key_is_read_as_openssl_writes_it(text, tmp_path: Path):
    context = make_context(tmp_path, secrets={"env:KEY": text})
    assert (await MasterKeys.fetch([SecretRef("env", "KEY")], context)).current == MasterKeys([NEW]).current


@pytest.mark.parametrize(
    "text", ["", "changeme", "0" * 64, NEW.hex()[:-2], "é" * 64, base64.b64encode(NEW[:31]).decode()]
)
async def test_what_is_no_master_key_is_refused_without_being_shown(text, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"env:KEY is no master key.*openssl rand -hex 32") as caught:
        await MasterKeys.fetch([SecretRef("env", "KEY")], make_context(tmp_path, secrets={"env:KEY": text}))
    assert not text or text not in str(caught.value)
