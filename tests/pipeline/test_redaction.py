from __future__ import annotations

import json
import re

import pytest

from llmgate.pipeline.redaction import Redaction

PEM = "PRIVATE" + " KEY-----"  # in two parts: no file here holds what looks like a key
SECRETS = [
    "sk-" + "proj-aB3" * 6,
    "sk-ant-api03-" + "a" * 40,
    "sk-helicone-" + "b" * 20,
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "AIza" + "S" * 35,
    "ya29." + "a0" * 20,
    "gsk_" + "c" * 40,
    "hf_" + "d" * 30,
    "ghp_" + "e" * 36,
    "github_pat_" + "f" * 40,
    "glpat-" + "g" * 20,
    "xoxb-1234567890-" + "h" * 20,
    "hvs." + "i" * 30,
    "whsec_" + "j" * 32,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9m",
    f"-----BEGIN RSA {PEM}\nMIIEow\n-----END RSA {PEM}",
    f"-----BEGIN {PEM}\nMIIEow, and the end is missing",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:12])
def test_secrets_are_taken_out_by_their_shape(secret: str) -> None:
    redaction = Redaction()
    assert redaction.text(f"use {secret}") == ("use [redacted]", 1)
    body = json.dumps({"messages": [{"role": "user", "content": f"my key is {secret}"}]}).encode()
    text, count = redaction.body(body)
    assert count == 1
    assert secret[-10:] not in text
    assert json.loads(text)["messages"][0]["content"] == "my key is [redacted]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abcdefghijklmnopqrstuvwxyz", "Authorization: [redacted]"),
        ("postgres://admin:hunter22@db:5432/x", "postgres://[redacted]@db:5432/x"),
        ('{"Api-Key": "a\\"b", "max_tokens": 5, "x": "y"}', '{"Api-Key": "[redacted]", "max_tokens": 5, "x": "y"}'),
        ('... "password" : "cut off at the e', '... "password" : "[redacted]"'),
    ],
)
def test_secrets_are_taken_out_of_texts_by_what_stands_around_them(text: str, left: str) -> None:
    assert Redaction().text(text) == (left, 1)


@pytest.mark.parametrize(
    "text",
    [
        "the quick brown fox", "a task-force of sk-8 people", "https://example.com/a:b", "price: 5 USD", "eyJ", "token",
        '{"tokens": "many", "secretary": "Ann"}', "bearer of bad news",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redaction().text(text) == (text, 0)


def test_values_are_taken_out_by_their_names_wherever_they_stand() -> None:
    redaction = Redaction(["customer-number"])
    value = {
        "apiKey": "v1",
        "API_KEY": "v2",
        "deep": [{"Client-Secret": "v3", "token": None, "password": 5}],
        "Customer Number": "v4",
        "arguments": '{"password":"v5","city":"Rome"}',
        "model": "m",
    }
    text, count = redaction.body(json.dumps(value).encode())
    assert count == 5
    assert not re.search(r"v\d", text)
    assert json.loads(text)["arguments"] == '{"password":"[redacted]","city":"Rome"}'
    assert json.loads(text)["model"] == "m"


def test_patterns_of_the_operator_are_taken_out_too() -> None:
    assert Redaction(patterns=[r"ACME-\d+"]).text("order ACME-12 and ACME-3") == ("order [redacted] and [redacted]", 2)
    with pytest.raises(re.error):
        Redaction(patterns=["("])


def test_pictures_and_sounds_are_their_digest() -> None:
    body = json.dumps({"image_url": {"url": "data:image/png;base64," + "iVBO" * 3000}}).encode()
    text, count = Redaction().body(body)
    assert count == 0
    assert len(text) < 300
    assert "12000 characters of base64, sha256 " in text


def test_nothing_breaks_it() -> None:
    redaction = Redaction()
    deep = b"[" * 190 + b'{"password":"x"}' + b"]" * 190
    assert '"x"' not in redaction.body(deep)[0]
    assert redaction.body(b"\xff\xfe")[0]
    assert redaction.body(b"") == ("", 0)
    assert redaction.body(b"5") == ("5", 0)
    assert redaction.body(b'{"a":1,"password":"x') == ('{"a":1,"password":"[redacted]"', 1)
