"""Secrets as Secret Manager gives them: versions, regions, checksums; and who the gateway is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import llmgate_google.identity
import pytest
from google.auth.compute_engine import _metadata
from llmgate_google.config import GoogleSecretsConfig
from llmgate_google.crc32c import crc32c
from llmgate_google.store import GoogleSecrets
from secret_manager_double import SecretManagerDouble, playing_google

from llmgate.spec import ConfigError, Secret, SecretNotFoundError, SecretRef, SecretUnavailableError, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.wire.transport import AiohttpTransport


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SecretManagerDouble]:
    """The double, whose metadata service gives the gateway its identity; nothing of this machine's."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "K_SERVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    with playing_google() as double:
        monkeypatch.setattr(_metadata, "_NO_GCE_CHECK", False)
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{double.port}")
        monkeypatch.setenv("GCE_METADATA_IP", f"127.0.0.1:{double.port}")
        yield double


class Opener:
    def __init__(self, google: SecretManagerDouble, directory: Path) -> None:
        self.google, self.directory = google, directory
        self.transport = AiohttpTransport()
        self.secrets: dict[str, str] = {}
        self.stores: list[GoogleSecrets] = []

    async def __call__(self, **config: Any) -> GoogleSecrets:
        async def fetch_secret(ref: SecretRef) -> Secret:
            return Secret(self.secrets[str(ref)], ref=ref, bearer=True)

        no_state: Any = None
        store = GoogleSecrets(
            GoogleSecretsConfig(
                **{"project": "p", "endpoint": self.google.url, "timeout": 20, "identity_timeout": 40, **config}
            )
        )
        context = StageContext("secrets.g", FakeClock(), self.transport, fetch_secret, no_state, {}, self.directory)
        await store.open(context)
        self.stores.append(store)
        return store


@pytest.fixture
async def opened(google: SecretManagerDouble, tmp_path: Path) -> AsyncIterator[Opener]:
    opener = Opener(google, tmp_path)
    yield opener
    for store in opener.stores:
        await store.aclose()
    await opener.transport.aclose()


def ref(path: str) -> SecretRef:
    return SecretRef("g", path)


async def test_a_name_a_version_a_whole_name_and_a_field(opened: Opener, google: SecretManagerDouble) -> None:
    google.put("openai", "sk-1")
    google.put("openai", '{"api_key": "sk-2"}')
    store = await opened()
    found = await store.fetch(ref("openai#api_key"))
    assert (found.reveal(), found.version) == ("sk-2", "2")
    assert (await store.fetch(ref("openai@1"))).reveal() == "sk-1"
    assert (await store.fetch(ref("projects/p/secrets/openai/versions/1"))).reveal() == "sk-1"
    assert (await store.fetch(ref("projects/p/secrets/openai"))).version == "2"
    assert (await (await opened(version="1")).fetch(ref("openai"))).reveal() == "sk-1"
    assert google.given == 2, "one token a store"


async def test_a_regional_secret(opened: Opener, google: SecretManagerDouble) -> None:
    google.secrets["projects/p/locations/europe-west3/secrets/openai"] = [b"sk-eu"]
    store = await opened(location="europe-west3")
    assert (await store.fetch(ref("openai"))).reveal() == "sk-eu"
    store = await opened(location="europe-west3", endpoint=None)
    assert store._service is not None
    assert store._service.address == "https://secretmanager.europe-west3.rep.googleapis.com"
    assert (await opened(endpoint=None))._service.address == "https://secretmanager.googleapis.com"  # type: ignore[union-attr]


async def test_what_is_gone_is_said_for_certain(opened: Opener, google: SecretManagerDouble) -> None:
    google.put("openai", "sk-1")
    google.put("openai", None)
    google.put("bytes", b"\xff")
    google.put("empty", b"")
    store = await opened()
    for path, words in (
        ("none", "has no such secret"),
        ("openai", "the version is disabled or destroyed"),
        ("openai@9", "no such version"),
        ("bytes", "keep it in UTF-8"),
        ("empty", "is empty"),
        ("a b", "write g:NAME"),
        ("openai@1#x", "no JSON object"),
    ):
        with pytest.raises(SecretNotFoundError, match=words) as caught:
            await store.fetch(ref(path))
        assert not isinstance(caught.value, SecretUnavailableError), path
        assert "canary" not in str(caught.value)
    assert (await store.fetch(ref("openai@1"))).reveal() == "sk-1"


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "PERMISSION_DENIED"), "403: PERMISSION_DENIED .*roles/secretmanager.secretAccessor"),
        ((429, "RESOURCE_EXHAUSTED"), "429: RESOURCE_EXHAUSTED"),
        ((503, "UNAVAILABLE"), "503: UNAVAILABLE"),
    ],
)
async def test_a_refusal_is_no_proof_of_absence(
    opened: Opener, google: SecretManagerDouble, refusal: tuple[int, str], words: str
) -> None:
    google.refusal = refusal
    with pytest.raises(SecretUnavailableError, match=words) as caught:
        await (await opened()).fetch(ref("openai"))
    assert "canary" not in str(caught.value)


async def test_a_secret_that_came_damaged_is_not_used(opened: Opener, google: SecretManagerDouble) -> None:
    google.put("openai", "sk-1")
    google.checksum = 1
    with pytest.raises(SecretUnavailableError, match="does not agree with its checksum"):
        await (await opened()).fetch(ref("openai"))


async def test_a_token_that_is_refused_is_exchanged_once(opened: Opener, google: SecretManagerDouble) -> None:
    google.put("openai", "sk-1")
    store = await opened()
    await store.fetch(ref("openai"))
    google.tokens.clear()
    assert (await store.fetch(ref("openai"))).reveal() == "sk-1"
    assert google.given == 2


async def test_a_token_of_another_store(opened: Opener, google: SecretManagerDouble) -> None:
    google.put("openai", "sk-1")
    google.tokens.add("ya29.of-another-store")
    opened.secrets["tokens:default"] = "ya29.of-another-store"
    assert (await (await opened(credentials=SecretRef("tokens", "default"))).fetch(ref("openai"))).reveal() == "sk-1"
    assert google.given == 0


async def test_nobody_and_nowhere(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="set GOOGLE_CLOUD_PROJECT"):
        await opened(project=None)

    def nobody(*_: Any, **__: Any) -> Any:
        raise llmgate_google.identity.google.auth.exceptions.DefaultCredentialsError("none")

    monkeypatch.setattr(llmgate_google.identity.google.auth, "default", nobody)
    with pytest.raises(SecretUnavailableError, match="give the gateway a service account"):
        await (await opened()).fetch(ref("openai"))


def test_the_checksum_is_that_of_the_standard() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


@pytest.mark.parametrize(
    "wrong", [{"project": "My Project"}, {"location": "EU"}, {"version": "a b"}, {"endpoint": "x"}]
)
def test_what_google_would_not_understand_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GoogleSecretsConfig(**wrong)
