from __future__ import annotations

import pytest

from llmgate.codecs.aws_keys import Keys, keys_in

STANDARD = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s"}
OTHER = {"AWS_ACCESS_KEY": "AKID2", "AWS_SECRET_KEY": "s2"}


def test_both_spellings_are_read() -> None:
    assert keys_in({}) is None
    assert keys_in({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_KEY": ""}) is None
    assert keys_in(STANDARD) == Keys("AKID", "s")
    assert keys_in({**STANDARD, "AWS_SESSION_TOKEN": "t"}) == Keys("AKID", "s", "t")
    assert keys_in(OTHER) == Keys("AKID2", "s2")
    assert keys_in({**OTHER, "AWS_SESSION_TOKEN": "t"}) == Keys("AKID2", "s2"), (
        "the token belongs to the standard names"
    )
    assert keys_in({**STANDARD, "AWS_ACCESS_KEY": "AKID", "AWS_SECRET_KEY": "s"}) == Keys("AKID", "s")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({**STANDARD, **OTHER}, "AWS_ACCESS_KEY_ID and AWS_ACCESS_KEY are both set and differ"),
        ({**STANDARD, "AWS_SECRET_KEY": "s2"}, "AWS_SECRET_ACCESS_KEY and AWS_SECRET_KEY are both set and differ"),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, r"AWS_SECRET_ACCESS_KEY \(or AWS_SECRET_KEY\) is not set"),
        ({"AWS_SECRET_KEY": "s"}, r"AWS_ACCESS_KEY_ID \(or AWS_ACCESS_KEY\) is not set"),
    ],
)
def test_a_clash_and_half_a_pair_are_errors_that_name_both(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        keys_in(environment)
    assert "s2" not in str(refused.value)


def test_keys_show_no_secret_and_survive_as_text() -> None:
    keys = Keys("AKID", "very-secret", "token-of-it")
    assert Keys.of_text(keys.to_text()) == keys
    assert "very-secret" not in repr(keys)
    assert "token-of-it" not in repr(keys)


@pytest.mark.parametrize("key", ["", "a b", "line\r\nx: 1", "ü"])
def test_keys_that_no_header_can_carry_are_refused(key: str) -> None:
    for keys in (Keys(key, "s"), Keys("AKID", "s", key or " ")):
        with pytest.raises(ValueError, match="no header can carry"):
            Keys.of_text(keys.to_text())
