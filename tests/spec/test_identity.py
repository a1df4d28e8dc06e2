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


def test_tokens_are_presented_in_the_order_of_their_places():
    tokens = {"x-goog-api-key": "4", "api-key": " 3 ", "x-api-key": "", "authorization": "1", "cookie": "no"}
    assert list(Credentials(tokens=tokens).presented()) == ["1", "3", "4"]


def test_where_helicone_auth_is_present_the_other_places_are_not_looked_at():
    assert list(Credentials(tokens={"authorization": "provider", "helicone-auth": "ours"}).presented()) == ["ours"]
    assert list(Credentials(tokens={"authorization": "provider", "helicone-auth": " "}).presented()) == []


@pytest.mark.parametrize(
    ("models", "denied", "names", "may"),
    [
        (None, [], ["openai/gpt-4o", "gpt-4o"], True),
        (["openai/*"], [], ["openai/gpt-4o", "gpt-4o"], True),
        (["gpt-4o"], [], ["openai/gpt-4o", "gpt-4o"], True),
        (["GPT-4o"], [], ["openai/gpt-4o", "gpt-4o"], False),
        ([], [], ["openai/gpt-4o", "gpt-4o"], False),
        (["openai/*"], ["*-4o"], ["openai/gpt-4o", "gpt-4o"], False),
        (None, ["gpt-4*"], ["openai/gpt-4o", "gpt-4o"], False),
        (None, ["GPT-4*"], ["azure/gpt-4o", "gpt-4o"], False),
        (None, ["gpt-4*"], ["azure/GPT-4o", "GPT-4o"], False),
        (None, ["o1"], ["openai/gpt-4o", "gpt-4o"], True),
        (None, ["o1"], ["openai/", ""], False),
        (["openai/*"], [], ["openai/", ""], True),
    ],
)
def test_a_model_is_called_that_is_allowed_and_not_denied(models, denied, names, may):
    principal = Principal("p", models=models, denied_models=denied)
    assert principal.may_call(*names) is may
    assert principal.is_restricted is (models is not None or bool(denied))


def test_scopes_say_what_may_be_asked_for():
    assert Principal("p").may_ask_for("chat")
    assert Principal("p", scopes=["chat"]).may_ask_for("chat")
    assert not Principal("p", scopes=["chat"]).may_ask_for("embeddings")
    assert not Principal("p", scopes=[]).may_ask_for("chat")
