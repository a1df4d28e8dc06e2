"""The lists of models that vendors give, each in its documented shape."""

from __future__ import annotations

import json

import pytest

from llmgate.formats.model_lists import read_model_page
from llmgate.spec import ListedModel, ProviderProtocolError


def read(value):
    return read_model_page(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "model"),
    [
        (
            {"object": "list", "data": [{"id": "gpt-4.1", "object": "model", "owned_by": "openai"}]},
            ListedModel("gpt-4.1"),
        ),
        (
            {"data": [{"type": "model", "id": "claude-opus-5", "max_input_tokens": 1_000_000, "max_tokens": 128_000}]},
            ListedModel("claude-opus-5", 1_000_000, 128_000),
        ),
        (
            {"models": [{"name": "models/gemini-3.5-flash", "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}]},
            ListedModel("gemini-3.5-flash", 1_048_576, 65_536),
        ),
        (
            {"models": [{"name": "command-a-03-2025", "context_length": 256_000, "features": ["tools", "json_mode"]}]},
            ListedModel("command-a-03-2025", 256_000, tools=True),
        ),
        ({"models": [{"name": "qwen3:4b", "model": "qwen3:4b", "size": 1}]}, ListedModel("qwen3:4b")),
        (
            {
                "data": [
                    {
                        "id": "mistral-medium",
                        "max_context_length": 131_072,
                        "capabilities": {"vision": True, "function_calling": True},
                    }
                ]
            },
            ListedModel("mistral-medium", 131_072, None, ("text", "image"), tools=True),
        ),
        (
            {"data": [{"id": "llama-4", "context_window": 131_072, "max_completion_tokens": 8192}]},
            ListedModel("llama-4", 131_072, 8192),
        ),
        ([{"id": "kimi-k3", "context_length": 262_144, "type": "chat"}], ListedModel("kimi-k3", 262_144)),
        ({"data": [{"id": "local", "max_model_len": 4096}]}, ListedModel("local", 4096)),
        (
            {"data": [{"id": "fw", "context_length": 9, "supports_image_input": False, "supports_tools": True}]},
            ListedModel("fw", 9, None, ("text",), tools=True),
        ),
        (
            {
                "data": [
                    {
                        "id": "openai/gpt-4.1",
                        "context_length": 1_047_576,
                        "architecture": {"input_modalities": ["image", "text", "file"]},
                        "top_provider": {"max_completion_tokens": 32_768},
                        "supported_parameters": ["temperature"],
                    }
                ]
            },
            ListedModel("openai/gpt-4.1", 1_047_576, 32_768, ("text", "image", "document"), tools=False),
        ),
    ],
)
def test_a_model_as_its_vendor_lists_it(value, model):
    assert read(value).models == (model,)


def test_entries_without_a_name_are_left_out_and_doubles_count_once():
    page = read({"data": [{"id": ""}, {}, 1, {"id": "a\nb"}, {"id": "x" * 999}, {"id": "a"}, {"id": "a"}]})
    assert [one.id for one in page.models] == ["a"]


def test_what_makes_no_sense_is_not_said():
    (model,) = read({"data": [{"id": "a", "context_window": True, "max_tokens": -1, "capabilities": "none"}]}).models
    assert model == ListedModel("a")


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ({"data": [], "has_more": True, "last_id": "claude 1"}, "after_id=claude+1"),
        ({"data": [], "has_more": False, "last_id": "claude 1"}, ""),
        ({"models": [], "nextPageToken": "a&b"}, "pageToken=a%26b"),
        ({"models": [], "next_page_token": "t"}, "page_token=t"),
        ({"models": [], "nextPageToken": ""}, ""),
        ([], ""),
    ],
)
def test_the_query_for_the_next_page(value, more):
    assert read(value).more == more


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"data": {}}', b"3", b'{"error": "no"}'])
def test_what_is_no_list_is_refused(body):
    with pytest.raises(ProviderProtocolError, match="not a list of models"):
        read_model_page(body)
