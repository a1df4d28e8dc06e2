"""A wrong secret reference is refused without showing it."""

from __future__ import annotations

import pytest

from llmgate.config.references import read_reference
from llmgate.spec import SecretRef

STORES = ("env", "file", "vault")


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("env:OPENAI_API_KEY", SecretRef("env", "OPENAI_API_KEY")),
        ("file:/run/secrets/a:b", SecretRef("file", "/run/secrets/a:b")),
        ("vault:kv/openai#api_key", SecretRef("vault", "kv/openai#api_key")),
    ],
)
def test_references(text: str, ref: SecretRef) -> None:
    assert read_reference(text, STORES) == ref


@pytest.mark.parametrize(
    "text",
    ["sk-very-secret-value", "env:sk-very-secret-value", "sk-very:secret-value", "env:", ":very-secret", "verysecret",
     "", "vault:sk-very-secret-value", "env:very secret", "0123456789abcdef01234567:very", "env: "],
)  # fmt: skip
def test_a_wrong_one_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="env:OPENAI_API_KEY") as caught:
        read_reference(text, STORES)
    assert "very" not in str(caught.value)


def test_an_unknown_store_is_named() -> None:
    with pytest.raises(ValueError, match=r"'vualt' that is not configured under secrets \(did you mean 'vault'\?\)"):
        read_reference("vualt:x", STORES)
