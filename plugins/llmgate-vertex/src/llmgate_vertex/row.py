"""What is known of Vertex AI: its address, its formats and its paths."""

from __future__ import annotations

from typing import Final

from llmgate.spec import ProviderRow

__all__ = ["ROW"]

ROW: Final = ProviderRow(
    name="vertex",
    title="Google Vertex AI",
    base_url=None,
    address="https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}",
    formats={
        "gemini-generate-content": "/publishers/google/models/{model}:generateContent",
        "anthropic-messages": "/publishers/anthropic/models/{model}:rawPredict",
        "openai-chat": "/endpoints/openapi/chat/completions",
        "gemini-count-tokens": "/publishers/google/models/{model}:countTokens",
        "anthropic-count-tokens": "/publishers/anthropic/models/count-tokens:rawPredict",
    },
    adapter="vertex-models",
    key_variables=("VERTEX_API_KEY",),
    models_path=None,
    model_patterns=("claude-*@*", "google/*", "*-maas"),
    domains=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
    cost=True,
    relay_paths=(
        "/v1/projects/*/publishers/*/models/*:*",
        "/v1/projects/*/endpoints/openapi/chat/completions",
        "/v1/projects/*/endpoints/*:predict",
        "/v1/projects/*/endpoints/*:rawPredict",
        "/v1/projects/*/endpoints/*:streamRawPredict",
        "/v1/projects/*/endpoints/*:generateContent",
        "/v1/projects/*/endpoints/*:streamGenerateContent",
        "/v1/projects/*/endpoints/*:countTokens",
        "/v1/publishers/*/models/*:*",
    ),
    source=(
        "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (Gemini), "
        "/partner-models/claude/use-claude (Claude, rawPredict) and /maas/call-open-model-apis (the others)"
    ),
)
"""Regions, ``global`` and the multi-regions ``us`` and ``eu`` are addresses; project and location stand in the path."""
