from __future__ import annotations

import pytest

from llmgate.host.nearest import nearest_address

ADDRESSES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/models",
    "/v1/models/{model}",
    "/router/{router}/chat/completions",
    "/router/{router}/batches",
    "/health",
)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/v1/chat", "/v1/chat/completions"),
        ("/v1/chat/", "/v1/chat/completions"),
        ("/router/my/chat", "/router/{router}/chat/completions"),
        ("/router/a-rather-long-name/batch", "/router/{router}/batches"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/v1/model", "/v1/models"),
        ("/healthz", "/health"),
        ("/v1/completions/", "/v1/completions"),
        ("/zzz", None),
        ("/" + "z" * 9999, None),
    ],
)
def test_what_was_meant(path, address):
    assert nearest_address(path, ADDRESSES) == address
