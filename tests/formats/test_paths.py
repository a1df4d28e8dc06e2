"""A path tells its format by its end, wherever the vendor has put it."""

from __future__ import annotations

import pytest

from llmgate.formats import FORMATS
from llmgate.formats.paths import Spoken, spoken_at


@pytest.mark.parametrize(
    ("path", "spoken"),
    [
        ("/v1/chat/completions", Spoken("openai-chat")),
        ("/openai/v1/chat/completions", Spoken("openai-chat")),
        ("/v1/ACCOUNT/GATEWAY/openai/chat/completions", Spoken("openai-chat")),
        ("/openai/deployments/my-gpt/chat/completions", Spoken("openai-chat", "my-gpt")),
        ("/openai/deployments/e%2F1/embeddings", Spoken("openai-embeddings", "e/1")),
        ("/v1/completions", Spoken("openai-completions")),
        ("/v1/embeddings", Spoken("openai-embeddings")),
        ("/v1/responses", Spoken("openai-responses")),
        ("/v1/messages", Spoken("anthropic-messages")),
        ("/v1/messages/count_tokens", Spoken("anthropic-count-tokens")),
        ("/v2/chat", Spoken("cohere-chat")),
        ("/api/chat", Spoken("ollama-chat")),
        ("/v1beta/models/g:generateContent", Spoken("gemini-generate-content", "g", stream=False)),
        ("/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent",
         Spoken("gemini-generate-content", "g", stream=True, events=False)),
        ("/v1beta/models/g:embedContent", Spoken("gemini-embed-content", "g", stream=False)),
        ("/model/anthropic.claude-v2%3A1/converse", Spoken("bedrock-converse", "anthropic.claude-v2:1", stream=False)),
        ("/model/a/converse-stream", Spoken("bedrock-converse", "a", stream=True)),
    ],
)  # fmt: skip
def test_what_is_spoken_at_a_path(path: str, spoken: Spoken) -> None:
    assert spoken_at("POST", path) == spoken
    assert spoken.format in FORMATS
    assert spoken_at("GET", path) is None


def test_googles_streams_are_events_where_they_are_asked_for() -> None:
    found = spoken_at("POST", "/v1/models/g:streamGenerateContent", "key=a&alt=sse")
    assert found == Spoken("gemini-generate-content", "g", stream=True)


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/chat/completetions", "/v1/models", "/v1/files", "/chat", "/v1/models/g:predict", "/messagesx", "/v1/x"],
)
def test_elsewhere_nothing_known_is_spoken(path: str) -> None:
    assert spoken_at("POST", path) is None
