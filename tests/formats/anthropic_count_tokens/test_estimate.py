from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.anthropic_count_tokens.estimate import estimate_input

FORMAT = get_format("anthropic-messages")


def count(*blocks, **fields) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": list(blocks)}], **fields}
    return estimate_input(FORMAT.decode_request(json.dumps(body).encode()))


def text(said: str) -> dict:
    return {"type": "text", "text": said}


def test_english_is_about_four_characters_a_token_and_other_alphabets_one():
    assert 250 <= count(text("The quick brown fox " * 50)) <= 300
    assert 100 <= count(text("日本語のテ" * 20)) <= 110


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
    ],
)
def test_media_weigh_by_kind_and_not_by_characters(block):
    assert 1500 <= count(block) <= 1610


def test_everything_is_counted():
    base = count(text("a"))
    long = "x" * 360
    assert count(text("a"), system=long) >= base + 100
    assert (
        count(text("a"), tools=[{"name": "f", "description": long, "input_schema": {"type": "object"}}]) >= base + 100
    )
    assert count(text("a"), tools=[{"type": "web_search_20260209", "name": "s", "user_location": long}]) >= base + 100
    assert count({"type": "tool_use", "id": "a", "name": "f", "input": {"a": long}}) >= 100
    assert count({"type": "tool_result", "tool_use_id": "a", "content": long}) >= 100
    assert count({"type": "search_result", "title": long}) >= 100
    schema = {"format": {"type": "json_schema", "schema": {"description": long}}}
    assert count(text("a"), output_config=schema) >= base + 100


def test_at_least_one():
    assert estimate_input(FORMAT.decode_request(b'{"model":"m","messages":[]}')) == 1
