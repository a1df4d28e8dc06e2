from __future__ import annotations

import pytest

from llmgate.host.dialects import dialect_of


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        ("/v1/chat/completions", {}, "openai-chat"),
        ("/v1/chat/completions", {"anthropic-version": "2023-06-01"}, "anthropic-messages"),
        ("/v1/messages", {}, "anthropic-messages"),
        ("/v1/messages/batches/b_1/results", {}, "anthropic-messages"),
        ("/v1/threads/t/messages/m", {}, "openai-chat"),
        ("/router/my/v1/messages/count_tokens", {}, "anthropic-messages"),
        ("/as/anthropic/v1/models", {}, "anthropic-messages"),
        ("/as/openai/v1/models", {"anthropic-version": "2023-06-01"}, "openai-chat"),
        ("/as/nobody/v1/models", {}, "openai-chat"),
        ("/v1/models", {"x-goog-api-key": "k"}, "gemini-generate-content"),
        ("/v1beta/models/m:generateContent", {}, "gemini-generate-content"),
        ("/as/gemini/models/m", {}, "gemini-generate-content"),
        ("/model/amazon.nova/converse", {}, "bedrock-converse"),
        ("/router/my/model/m/invoke", {}, "bedrock-converse"),
        ("/as/bedrock/model/m/invoke", {}, "bedrock-converse"),
        ("/api/chat", {}, "ollama-chat"),
        ("/router/my/api/tags", {}, "ollama-chat"),
        ("/as/ollama/api/chat", {}, "ollama-chat"),
        ("/v2/chat", {}, "cohere-chat"),
        ("/as/cohere/v2/chat", {}, "cohere-chat"),
        ("/router/api/chat/completions", {}, "openai-chat"),
        ("/as", {}, "openai-chat"),
        ("", {}, "openai-chat"),
    ],
)
def test_the_dialect_of_a_request(path, headers, dialect):
    assert dialect_of(path, headers) == dialect
