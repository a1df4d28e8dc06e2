"""What is quoted in messages never shows a key."""

from __future__ import annotations

import pytest

from llmgate.config.quoting import looks_secret, quoted, redacted

SECRETS = [
    "sk-proj-abcdef",
    "sk-ant-api03-xxxx",
    "gsk_abcdefgh1234",
    "AIzaSyA1234567890abcdef",
    "0123456789abcdef0123456789abcdef",
    "550e8400-e29b-41d4-a716-446655440000",
    "eyJhbGciOiJIUzI1NiJ9.e30",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_are_not_shown(secret: str) -> None:
    assert looks_secret(f"Bearer {secret}")
    assert secret not in redacted(f"before {secret} after")
    assert secret[8:] not in quoted(secret)


@pytest.mark.parametrize(
    "word",
    ["openai", "claude-haiku-4-5-20251001", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "max-requests-per-connection",
     "gpt-4o-mini-2024-07-18", "OPENAI_API_KEY", "https://api.example.com/v1", "task-force-seven"],
)  # fmt: skip
def test_ordinary_words_are_shown(word: str) -> None:
    assert quoted(word) == repr(word)


def test_a_quoted_text_is_one_short_line() -> None:
    shown = quoted("a\nb" + " c" * 500)
    assert "\n" not in shown
    assert len(shown) < 80
