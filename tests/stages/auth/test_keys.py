"""Keys: long enough by chance, recognisable, and kept as hashes only."""

from __future__ import annotations

import hashlib
import re

import pytest

from llmgate.stages.auth.keys import KEY_PREFIX, digest_of, hash_of, new_key, parse_hash


def test_a_new_key_is_new_and_has_256_bits():
    keys = {new_key()[0] for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"sk-lg-[A-Za-z0-9]{43}", key) for key in keys)


def test_the_hash_is_the_sha256_of_the_whole_key():
    key, digest = new_key()
    assert key.startswith(KEY_PREFIX)
    assert digest == "sha256:" + hashlib.sha256(key.encode()).hexdigest() == hash_of(key)
    assert parse_hash(digest) == digest_of(key)


def test_a_hash_may_be_written_in_capitals():
    assert parse_hash(hash_of("k").upper()) == digest_of("k")


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:12", "md5:" + "0" * 64, "0" * 64, "sha256:" + "g" * 64])
def test_what_is_no_hash_is_refused_with_the_remedy(text):
    with pytest.raises(ValueError, match="keys new"):
        parse_hash(text)


def test_any_text_has_a_digest():
    assert len({digest_of(text) for text in ("", "\x00", "\udc80", "ключ")}) == 4
