"""Several keys of one provider, as the configuration writes them."""

from __future__ import annotations

import pytest

from config.fakes import Loader
from llmgate.spec import ProviderKey, SecretRef

A, B, C = (SecretRef("env", name) for name in "ABC")


def test_keys_are_references_with_or_without_a_weight(loader: Loader) -> None:
    text = "providers: {openai: {secrets: [env:A, {secret: env:B, weight: 2.5}, {secret: env:C}]}}"
    provider = loader.text(text, A="x", B="x", C="x").providers["openai"]
    assert provider.keys == (ProviderKey(A), ProviderKey(B, 2.5), ProviderKey(C))
    assert provider.secret == A


def test_one_key_is_no_pool(loader: Loader) -> None:
    provider = loader.text("providers: {openai: {secrets: [env:B]}}", B="x").providers["openai"]
    assert (provider.secret, provider.keys) == (B, ())


def test_each_key_that_is_missing_is_told(loader: Loader) -> None:
    config = loader.text("providers: {openai: {secrets: [env:A, env:B, env:C]}}", B="x")
    assert config.warnings == (
        "c.yaml:1:13: provider 'openai' has no key: set A",
        "c.yaml:1:13: provider 'openai' has no key: set C",
    )


def test_a_router_may_have_keys_of_its_own(loader: Loader) -> None:
    text = (
        "providers: {openai: {secret: env:A}}\n"
        "routers: {r: {load-balance: {chat: {strategy: priority, providers: [openai]}}, "
        "providers: {openai: {secret: null, secrets: [env:B, env:C]}}}}"
    )
    own = loader.text(text, A="x", B="x", C="x").routers["r"].providers["openai"]
    assert [key.secret for key in own.keys] == [B, C]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("secret: env:A, secrets: [env:B]", "'secret' and 'secrets' exclude each other: keep one"),
        ("keyless: true, secrets: [env:A, env:B]", "'keyless' and 'secret' exclude each other: keep one"),
        ("secrets: []", "'secrets' is empty: name at least one"),
        ("secrets: env:A", "'secrets' must be a list, not 'env:A'"),
        ("secrets: [env:A, env:A]", "env:A is listed twice in secrets"),
        ("secrets: [{secret: env:A, weight: 0}]", "'weight' must be a number above 0"),
        ("secrets: [{secret: env:A, weight: true}]", "'weight' must be a number above 0"),
        ("secrets: [{secret: env:A, weight: .inf}]", "'weight' must be a number above 0"),
        ("secrets: [{weight: 1}]", "'secret' is required in each entry of secrets"),
        ("secrets: [{secret: env:A, wieght: 1}]", "unknown key 'wieght' in secrets"),
    ],
)
def test_what_makes_no_sense_is_named(loader: Loader, written: str, problem: str) -> None:
    assert problem in loader.one(f"providers: {{openai: {{{written}}}}}", A="x", B="x")


@pytest.mark.parametrize("written", ["[sk-proj-verysecret]", "[{secret: sk-proj-verysecret}]"])
def test_a_literal_key_is_refused_and_not_shown(loader: Loader, written: str) -> None:
    assert "verysecret" not in loader.one(f"providers: {{openai: {{secrets: {written}}}}}")
