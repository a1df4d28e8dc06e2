"""Of a body only what OpenAI documents reaches litellm."""

from __future__ import annotations

import json
from typing import Any

import pytest
from llmgate_litellm.calls import arguments_of
from llmgate_litellm.config import LiteLLMConfig

from llmgate.spec import InvalidRequestError
from llmgate.testing.corpus import chat_corpus

CHAT = "/chat/completions"
HELLO = [{"role": "user", "content": "Hello!"}]


def arguments(value: Any, path: str = CHAT, *, media_urls: bool = False) -> dict[str, Any]:
    return arguments_of(path, json.dumps(value).encode(), media_urls=media_urls)


def test_what_openai_documents_goes_on_and_nothing_that_is_not_said() -> None:
    found = arguments({"model": "m", "messages": HELLO, "temperature": 0.5, "top_p": None})
    assert found == {"messages": HELLO, "temperature": 0.5}
    assert arguments({"model": "m", "input": "x", "dimensions": 8}, "/embeddings") == {"input": "x", "dimensions": 8}


@pytest.mark.parametrize(
    "name",
    ["api_base", "base_url", "api_key", "fallbacks", "mock_response", "callbacks", "custom_llm_provider", "metadata",
     "vertex_credentials", "aws_secret_access_key", "extra_headers", "num_retries", "model_list", "litellm_params",
     "no-log", "extra_body", "input_cost_per_token", "timeout", "caching", "vendor_field"],
)  # fmt: skip
def test_no_argument_of_litellms_is_a_clients_to_choose(name: str) -> None:
    for path in (CHAT, "/embeddings"):
        with pytest.raises(InvalidRequestError, match=f"{name} is not passed on") as refused:
            arguments({"model": "m", "messages": HELLO, name: "x"} if path == CHAT else {"input": "x", name: 1}, path)
        assert refused.value.param == name


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}},
        {"type": "image_url", "image_url": " HTTPS://inside.example/x"},
        {"type": "file", "file": {"file_data": "https://inside.example/x"}},
        {"type": "video_url", "video_url": {"url": "https://inside.example/x"}},
        {"type": "document", "source": {"type": "url", "url": "https://inside.example/x"}},
        {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": "deep"}}}}}}}}},
    ],
)
def test_media_by_address_is_refused_unless_the_operator_allows_it(part: dict[str, Any]) -> None:
    value = {"model": "m", "messages": [*HELLO, {"role": "user", "content": [part]}]}
    with pytest.raises(InvalidRequestError, match="gives media by its address") as refused:
        arguments(value)
    assert refused.value.param == "messages[1]"
    assert arguments(value, media_urls=True)["messages"][1]["content"] == [part]


def test_addresses_in_texts_and_media_as_data_are_passed_on() -> None:
    content = [
        {"type": "text", "text": "https://example.org"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    value = {"messages": [{"role": "user", "content": content}, {"role": "user", "content": "http://x"}]}
    assert arguments(value) == value


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 1, "messages": 2}'])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="body"):
        arguments_of(CHAT, body, media_urls=False)


@pytest.mark.parametrize("name", [name for name in chat_corpus() if name not in {"full", "media"}])
def test_the_corpus_is_passed_on(name: str) -> None:
    body = chat_corpus()[name]
    assert arguments_of(CHAT, body, media_urls=False)["messages"] == json.loads(body)["messages"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"vendor": "Re plicate"}, "write it as litellm does"),
        ({"options": {"api_key": "x"}}, "is the gateway's to say"),
        ({"options": {"Bad-name": "x"}}, "is no name of an argument"),
    ],
)
def test_the_operators_mistakes_are_named(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LiteLLMConfig(**config)
