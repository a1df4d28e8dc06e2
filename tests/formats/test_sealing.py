from __future__ import annotations

import base64
import json
import zlib

import pytest
from hypothesis import given, strategies as st

from llmgate.formats.sealing import SEAL, is_tagged, opened, sealed
from llmgate.spec import Reasoning

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PROVED = Reasoning("Hm \u2028 é", "c2ln+/==")


def packed(value: object) -> str:
    return SEAL + base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode().rstrip("=")


@given(words, words.filter(bool), st.dictionaries(words, words, max_size=2))
def test_what_is_sealed_comes_back_to_the_letter(text, signature, extra):
    part = Reasoning(text, signature, extra=extra)
    if extra.get("type") != "thinking":
        assert opened(sealed(part)) == part
    encrypted = Reasoning("", None, extra={"type": "redacted_thinking", "data": text})
    assert opened(sealed(encrypted)) == encrypted


def test_the_same_proof_gives_the_same_seal():
    assert sealed(PROVED) == sealed(PROVED)
    assert sealed(Reasoning(PROVED.text, PROVED.signature, extra={"type": "thinking"})) == sealed(PROVED)


def test_reasoning_without_a_proof_is_not_sealed():
    assert sealed(Reasoning("Hm")) is None


@given(st.data())
def test_a_damaged_seal_is_none(data):
    seal = sealed(PROVED)
    place = data.draw(st.integers(0, len(seal) - 1))
    other = data.draw(st.sampled_from("AbC019-_=.é "))
    changed = seal[:place] + other + seal[place + 1 :]
    assert opened(changed) in (None, PROVED)
    assert opened(seal[:place]) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gAAAAABo",
        "llmgate.2.eJyrVipRslLyyM1VeNSw",
        SEAL,
        packed([]),
        packed({}),
        packed({"t": 1}),
        packed({"t": "a", "s": 1}),
        packed({"t": "a", "x": []}),
        packed({"t": "x" * (9 * 1024 * 1024)}),
    ],
)
def test_what_is_no_seal_is_left_alone(text):
    assert opened(text) is None


@pytest.mark.parametrize(
    ("signature", "tagged"),
    [(None, False), ("c2ln+/==", False), ("openai-responses:rs_1:gAAA", True), (SEAL + "eJ", True), ("", False)],
)
def test_a_signature_says_whose_it_is(signature, tagged):
    assert is_tagged(signature) is tagged


def test_a_bomb_is_no_seal():
    """What is opened is bounded by what has come, so that a body of seals costs no more than a body of anything."""
    bomb = zlib.compress(b'{"t":"' + b"a" * 1_000_000 + b'"}', 9)
    assert opened(SEAL + base64.urlsafe_b64encode(bomb).decode().rstrip("=")) is None
    long = Reasoning("a" * 1_000_000, "c2ln")
    assert opened(sealed(long)) == long, "and what might look like one is sealed without being packed"
