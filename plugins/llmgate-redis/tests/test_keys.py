"""What things are called in the server."""

from __future__ import annotations

import math

import pytest
from llmgate_redis.keys import Keys, milliseconds
from redis.crc import key_slot

AWKWARD = ["", "a", "%", "{", "}", "{}", "{}a", "a{b}c", "}{", "%7B", "a:b", "ключ", "\ud800", "a\x00b"]


@pytest.mark.parametrize("key", AWKWARD, ids=ascii)
def test_everything_of_one_key_is_in_one_slot(key: str) -> None:
    keys = Keys("llmgate:")
    for once in AWKWARD:
        slots = {key_slot(name) for name in keys.with_once("rate", key, once)}
        assert slots == {key_slot(name) for name in keys.with_once("counter", key, None)}


def test_no_two_keys_have_one_name() -> None:
    keys = Keys("llmgate:")
    names = [keys.of(kind, key) for kind in ("counter", "rate") for key in AWKWARD]
    names += [keys.with_once("rate", key, once)[1] for key in AWKWARD for once in AWKWARD]
    assert len(set(names)) == len(names)


def test_keys_are_spread_over_the_slots() -> None:
    assert len({key_slot(Keys("p:").of("rate", str(number))) for number in range(100)}) > 90


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(1, 1000), (0.0001, 1), (1.0001, 1001), (1e30, 10**15), (math.inf, 10**15)]
)
def test_milliseconds_never_end_early(seconds: float, wanted: int) -> None:
    assert milliseconds(seconds) == wanted
