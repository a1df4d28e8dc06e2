"""Credentials and secrets never print themselves; references are read strictly."""

from __future__ import annotations

import pytest

from llmgate.spec import Credentials, Principal, Secret, SecretRef


def test_a_secret_shows_where_it_is_from_and_not_what_it_is():
    secret = Secret("the-value", SecretRef("env", "KEY"), version="3")
    assert secret.reveal() == "the-value"
    for text in (repr(secret), str(secret), f"{secret}", repr([secret])):
        assert "the-value" not in text
        assert "env:KEY" in text
    assert "the-value" not in repr(Secret("the-value"))


def test_a_fingerprint_tells_values_apart_and_shows_none_of_them():
    one, two = Secret("value-1"), Secret("value-2")
    assert one.fingerprint == Secret("value-1").fingerprint
    assert one.fingerprint != two.fingerprint
    assert len(one.fingerprint) == 8
    int(one.fingerprint, 16)


def test_credentials_show_how_many_tokens_there_are_only():
    credentials = Credentials.of("the-token")
    assert credentials.tokens == {"authorization": "the-token"}
    assert "the-token" not in repr(
        Credentials(tokens=credentials.tokens, headers={"authorization": "Bearer the-token"})
    )


@pytest.mark.parametrize("text", ["env:KEY", "vault:kv/openai#api_key", "file:/run/a:b"])
def test_a_reference_survives_writing_and_reading(text):
    assert str(SecretRef.parse(text)) == text


@pytest.mark.parametrize("text", ["", "KEY", ":KEY", "env:", ":"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(ValueError, match="store:path"):
        SecretRef.parse(text)


def test_the_local_caller_may_call_every_model():
    assert Principal.local().models is None
    assert Principal.local().kind == "local"
