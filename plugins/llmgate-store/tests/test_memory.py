"""What a process remembers: bounded, forgotten when told, and alike in its refusals."""

from __future__ import annotations

import math

import attrs
import pytest
from llmgate_store.keys.grant import Grant, IssuedKey
from llmgate_store.keys.memory import KeyMemory, Remembered

RIGHT = b"\x01" * 32
WRONG = b"\x02" * 32


def make_key(**changes: object) -> IssuedKey:
    grant = {name: changes.pop(name) for name in ("addresses", "expires_at") if name in changes}
    key = IssuedKey(
        public_id="A" * 12,
        family_id="F" * 12,
        last_four="0000",
        grant=attrs.evolve(Grant(label="l", owner="o", issued_by="i"), **grant),  # type: ignore[arg-type]
        secret_hash=RIGHT,
        pepper_id="p",
        created_at=0,
    )
    return attrs.evolve(key, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "digest", "address", "reason"),
    [
        ({}, RIGHT, "", ""),
        ({}, WRONG, "", "another secret"),
        ({"expires_at": 10.0}, RIGHT, "", "expired"),
        ({"expires_at": 10.1}, RIGHT, "", ""),
        ({"ends_at": 10.0, "expires_at": 11.0}, RIGHT, "", "replaced"),
        ({"ends_at": 10.0, "expires_at": 9.0}, RIGHT, "", "expired"),
        ({"revoked_at": 99.0}, RIGHT, "", "revoked"),
        ({"revoked_at": 99.0}, WRONG, "", "another secret"),
        ({"addresses": ["10.0.0.0/8"]}, RIGHT, "10.1.2.3", ""),
        ({"addresses": ["10.0.0.0/8"]}, RIGHT, "::ffff:10.1.2.3", ""),
        ({"addresses": ["10.0.0.0/8", "::1/128"]}, RIGHT, "::1", ""),
        ({"addresses": ["10.0.0.0/8"]}, RIGHT, "11.1.2.3", "from 11.1.2.3"),
        ({"addresses": ["10.0.0.0/8"]}, RIGHT, "", "unknown address"),
        ({"addresses": ["10.0.0.0/8"]}, RIGHT, "unix:/run/x", "from unix"),
        ({"addresses": []}, RIGHT, "10.1.2.3", "from 10.1.2.3"),
    ],
)
def test_a_key_lets_in_when_and_where_it_may(changes, digest, address, reason):
    refusal = Remembered.of(make_key(**changes)).refuse(digest, address, 10.0)
    assert bool(refusal) is bool(reason)
    assert reason in refusal


def test_nobody_is_refused_whatever_is_presented():
    assert Remembered.nobody(math.inf).refuse(RIGHT, "", 0) == "is unknown"


def test_both_sorts_are_bounded_and_neither_pushes_the_other_out():
    memory = KeyMemory(3, 2)
    known = Remembered.of(make_key())
    for name in "abcd":
        memory.keep(name, known)
    for number in range(100):
        memory.keep(f"x{number}", Remembered.nobody(math.inf))
    assert len(memory) == 5
    assert [memory.find(name, 0) is not None for name in ("a", "b", "d", "x97", "x98", "x99")] == [
        False, True, True, False, True, True,
    ]  # fmt: skip


def test_what_is_nobodys_is_forgotten_in_time_and_all_is_when_told():
    memory = KeyMemory(10, 10)
    memory.keep("x", Remembered.nobody(5.0))
    memory.keep("a", Remembered.of(make_key()))
    assert memory.find("x", 4.9) is not None
    assert memory.find("x", 5.0) is None
    memory.forget(["a", "never-seen"])
    assert memory.find("a", 0) is None
    memory.keep("a", Remembered.of(make_key()))
    memory.clear()
    assert len(memory) == 0


def test_use_is_told_once():
    memory = KeyMemory(10, 10)
    used = Remembered.of(make_key())
    memory.keep("a", used)
    memory.keep("b", Remembered.of(make_key()))
    used.used_at = 7.0
    assert memory.take_used() == {"a": 7.0}
    assert memory.take_used() == {}
