"""One gateway, two resources of Azure OpenAI: one is asked with a key, the other with a token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from entra_double import Asked, playing_entra

from llmgate import Pipeline
from llmgate.testing.upstream import FakeUpstream

HELLO = [{"role": "user", "content": "Hello!"}]


async def test_a_token_goes_out_as_bearer_and_a_key_in_azures_own_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def token(_: Asked) -> tuple[int, Any]:
        return 200, {"access_token": "eyJ.token", "expires_in": 3600, "token_type": "Bearer"}

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with playing_entra(tmp_path, token, tls=True) as authority:
        async with FakeUpstream() as azure:
            address = f"{azure.url}/openai/v1"
            entra = {"use": "azure-entra", "authority": authority.url, "instance-discovery": False}
            config = {
                "secrets": {"entra": entra},
                "providers": {
                    "by-key": {"use": "azure", "base-url": address, "secret": "env:KEY"},
                    "by-token": {"use": "azure", "base-url": address, "secret": "entra:default"},
                },
            }
            environment = {
                "KEY": "a-key",
                "AZURE_TENANT_ID": "t",
                "AZURE_CLIENT_ID": "c",
                "AZURE_CLIENT_SECRET": "s",
            }
            async with Pipeline.from_config(config, environment=environment) as pipeline:
                for name in ("by-key", "by-token"):
                    await pipeline.complete(model=f"{name}/gpt-4o", messages=HELLO)
            by_key, by_token = (request.headers for request in azure.requests)
    assert by_key["api-key"] == "a-key"
    assert "authorization" not in by_key
    assert by_token["authorization"] == "Bearer eyJ.token"
    assert "api-key" not in by_token
