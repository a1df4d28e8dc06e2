from __future__ import annotations

import pytest

from llmgate.host.google import speaks_gemini


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1beta/models", {}),
        ("/v1beta/models/x:generateContent", {}),
        ("/as/gemini/models/x", {}),
        ("/router/main/v1beta/models", {}),
        ("/v1/models/a/b:streamGenerateContent", {}),
        ("/v1/projects/p/locations/l/publishers/google/models/x:generateContent", {}),
        ("/v1/models", {"x-goog-api-key": "k"}),
        ("/v1/models", {"x-goog-api-client": "google-genai-sdk/3"}),
        ("/v1/models/x", {"user-agent": "google-genai-sdk/3.4.0 gl-python/3.11"}),
    ],
)
def test_googles_clients_are_known(path, headers):
    assert speaks_gemini(path, headers)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/models", {}),
        ("/v1/models", {"user-agent": "OpenAI/Python"}),
        ("/v1/chat/completions", {"x-goog-api-key": "k"}),
        ("/v1/models/ft:gpt-4o:org", {}),
        ("/gemini/v1beta/chat/completions", {"x-goog-api-key": "k"}),
        ("/v1betamax/models", {}),
    ],
)
def test_others_are_not_taken_for_them(path, headers):
    assert not speaks_gemini(path, headers)
