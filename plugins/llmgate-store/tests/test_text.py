"""How a key looks: what scanners find it by, and what tells it from what only looks like one."""

from __future__ import annotations

import re
import zlib

import pytest
from llmgate_store.keys.text import KeyText, checksum, read_key


def test_a_key_is_found_by_its_shape_and_holds_its_public_part():
    key = KeyText.new()
    match = re.fullmatch(r"sk-lg-([0-9A-Za-z]{12})-[0-9A-Za-z]{38}", key.text)
    assert match is not None
    assert match[1] == key.public_id
    assert read_key(key.text) == key
    assert key.is_whole
    assert key.text.endswith(key.last_four)


def test_a_key_does_not_print_itself():
    key = KeyText.new()
    assert key.text not in repr(key)


def test_no_two_keys_are_alike():
    keys = [KeyText.new() for _ in range(1000)]
    assert len({key.public_id for key in keys}) == len({key.text for key in keys}) == 1000


def test_the_checksum_is_the_crc_32_in_base_62():
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for digit in checksum("sk-lg-x"):
        value = value * 62 + digits.index(digit)
    assert value == zlib.crc32(b"sk-lg-x")
    assert checksum("") == "000000"


def test_every_wrong_character_is_noticed():
    key = KeyText.new().text
    for place in range(len("sk-lg-"), len(key)):
        other = read_key(key[:place] + ("x" if key[place] != "x" else "y") + key[place + 1 :])
        assert other is None or not other.is_whole


@pytest.mark.parametrize(
    "token",
    [
        "",
        "sk-lg-",
        "sk-lg-" + "a" * 43,
        "sk-lg-abcdefghijkl-" + "a" * 37,
        "sk-lg-abcdefghijkl-" + "a" * 39,
        "sk-proj-abcdefghijkl-" + "a" * 38,
        "sk-lg-abcdefghijkl-" + "é" * 38,
        "sk-lg-abcdefghijkl-" + "a" * 38 + "\n",
        "SK-LG-abcdefghijkl-" + "a" * 38,
        "sk-lg-\udc80bcdefghijkl-" + "a" * 38,
        "sk-lg-١٢٣٤٥٦٧٨٩٠١٢-" + "a" * 38,
    ],
)
def test_what_has_another_shape_is_no_key(token):
    assert read_key(token) is None
