"""Tokens are got as Google's own tools get them, from doubles of Google's services on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from google.auth.compute_engine import _metadata
from google_double import KEY, Answer, Asked, playing_google, service_account, token_answer
from llmgate_vertex.config import SCOPE, GoogleCredentialsConfig
from llmgate_vertex.credentials import GoogleCredentials

from llmgate.spec import SecretNotFoundError, SecretRef, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

DEFAULT = SecretRef("google", "default")


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's: no variables, no files of gcloud's, no metadata service."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "K_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", True)


async def opened(directory: Path, environment: dict[str, str] | None = None, **config: Any) -> GoogleCredentials:
    async def no_secret(ref: SecretRef) -> Any:
        raise SecretNotFoundError(str(ref))

    no_state: Any = None
    context = StageContext(
        "secrets.google", FakeClock(), ScriptedTransport([]), no_secret, no_state, environment or {}, directory
    )
    store = GoogleCredentials(GoogleCredentialsConfig(**config))
    await store.open(context)
    return store


def numbered() -> Any:
    given: list[int] = []

    def answer(_: Asked) -> Answer:
        given.append(len(given) + 1)
        return token_answer(f"ya29.token-{len(given)}")

    return answer


async def test_the_key_of_a_service_account(tmp_path: Path) -> None:
    with playing_google(numbered()) as google:
        (tmp_path / "key.json").write_text(service_account(google))
        store = await opened(tmp_path)
        found = await asyncio.gather(*(store.fetch(SecretRef("google", "key.json")) for _ in range(20)))
        assert {one.reveal() for one in found} == {"ya29.token-1"}
        assert "ya29" not in f"{found[0]!r} {store!r}"
        assert (await store.refresh(SecretRef("google", "key.json"))).reveal() == "ya29.token-2"
        claims = jwt.decode(
            parse_qs(google.asked[0].body.decode())["assertion"][0],
            KEY.public_key(),
            algorithms=["RS256"],
            audience="https://oauth2.googleapis.com/token",
        )
        assert (claims["iss"], claims["scope"]) == ("gateway@p.iam.gserviceaccount.com", SCOPE)
        await store.aclose()
    with pytest.raises(SecretNotFoundError, match="not open"):
        await store.fetch(DEFAULT)


@pytest.mark.parametrize("by_gateway", [True, False])
async def test_the_variable_names_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_gateway: bool
) -> None:
    with playing_google(numbered()) as google:
        (tmp_path / "key.json").write_text(service_account(google))
        name, value = "GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json")
        if not by_gateway:
            monkeypatch.setenv(name, value)
        store = await opened(tmp_path, {name: value} if by_gateway else None)
        assert (await store.fetch(DEFAULT)).reveal() == "ya29.token-1"
        await store.aclose()


async def test_workload_identity(tmp_path: Path) -> None:
    with playing_google(numbered()) as google:
        (tmp_path / "subject").write_text("a.token.of-the-cluster")
        federation = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{google.url}/v1/token",
            "credential_source": {"file": str(tmp_path / "subject")},
        }
        (tmp_path / "federation.json").write_text(json.dumps(federation))
        store = await opened(tmp_path)
        assert (await store.fetch(SecretRef("google", "federation.json"))).reveal() == "ya29.token-1"
        sent = parse_qs(google.asked[0].body.decode())
        assert sent["subject_token"] == ["a.token.of-the-cluster"]
        assert sent["audience"] == [federation["audience"]]
        await store.aclose()


async def test_the_metadata_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.partition("?")[0].endswith("/token"):
            return token_answer("ya29.of-the-instance")
        value = b"p" if "project-id" in asked.path else b'{"email": "default@p", "scopes": []}'
        return 200, {"content-type": "application/json", "metadata-flavor": "Google"}, value

    with playing_google(answer) as google:
        monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{google.port}")
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{google.port}")
        store = await opened(tmp_path)
        assert (await store.fetch(DEFAULT)).reveal() == "ya29.of-the-instance"
        assert all(asked.headers["metadata-flavor"] == "Google" for asked in google.asked)
        await store.aclose()


async def test_what_is_missing_is_named(tmp_path: Path) -> None:
    store = await opened(tmp_path, pause=0)
    with pytest.raises(SecretNotFoundError, match="google:default: there are no credentials of Google's: set GOOGLE_"):
        await store.fetch(DEFAULT)
    with pytest.raises(SecretNotFoundError, match=r"google:no\.json: no\.json cannot be read"):
        await store.fetch(SecretRef("google", "no.json"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SecretNotFoundError, match=r"google:bad\.json: bad\.json holds no credentials"):
        await store.fetch(SecretRef("google", "bad.json"))


async def test_a_refusal_shows_nothing_of_the_answer(tmp_path: Path) -> None:
    refusal = b'{"error": "invalid_grant", "error_description": "the key of somebody-secret"}'
    with playing_google(lambda _: (400, {"content-type": "application/json"}, refusal)) as google:
        (tmp_path / "key.json").write_text(service_account(google))
        store = await opened(tmp_path)
        with pytest.raises(SecretNotFoundError, match=r"no token \(RefreshError\)") as refused:
            await store.fetch(SecretRef("google", "key.json"))
    assert "somebody-secret" not in str(refused.value)


async def test_getting_a_token_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(GoogleCredentials, "_ask", lambda *_: hanging.wait(20))
    store = await opened(tmp_path, timeout=0.05)
    try:
        with pytest.raises(SecretNotFoundError, match=r"took more than 0\.05 seconds"):
            await store.fetch(DEFAULT)
    finally:
        hanging.set()
