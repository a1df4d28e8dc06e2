"""Tokens are got as Microsoft's own library gets them, from doubles of its services on loopback."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llmgate_azure.entra
import pytest
from entra_double import Asked, EntraDouble, playing_entra
from llmgate_azure.config import SCOPE, AzureEntraConfig
from llmgate_azure.entra import AzureEntra
from llmgate_azure.identity import Identity

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, StageContext
from llmgate.testing.clock import FakeClock
from llmgate.testing.transport import ScriptedTransport

DEFAULT = SecretRef("entra", "default")
VARIABLES = (
    "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS", "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's; the library trusts the double's certificate."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))


def numbered() -> Any:
    given: list[Asked] = []

    def token(asked: Asked) -> tuple[int, Any]:
        given.append(asked)
        end: dict[str, Any] = {"expires_in": 3600}
        if asked.path.startswith("/msi"):  # the host's service tells the moment
            end = {"expires_on": str(int(time.time()) + 3600), "resource": "https://cognitiveservices.azure.com"}
        return 200, {"access_token": f"eyJ.token-{len(given)}", "token_type": "Bearer", **end}

    return token


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[EntraDouble]:
    with playing_entra(tmp_path, numbered(), tls=True) as double:
        yield double


async def opened(directory: Path, environment: dict[str, str] | None = None, **config: Any) -> AzureEntra:
    async def fetch_secret(ref: SecretRef) -> Secret:
        return Secret(f"what {ref} holds", ref=ref)

    no_state: Any = None
    context = StageContext(
        "secrets.entra", FakeClock(), ScriptedTransport([]), fetch_secret, no_state, environment or {}, directory
    )
    store = AzureEntra(AzureEntraConfig(**config))
    await store.open(context)
    return store


async def test_an_application_with_a_secret(tmp_path: Path, authority: EntraDouble) -> None:
    store = await opened(
        tmp_path,
        credential="client-secret",
        tenant_id="tenant-1",
        client_id="client-1",
        client_secret=SecretRef("vault", "entra"),
        authority=authority.url,
        instance_discovery=False,
    )
    found = await asyncio.gather(*(store.fetch(DEFAULT) for _ in range(20)))
    assert {one.reveal() for one in found} == {"eyJ.token-1"}
    assert found[0].bearer
    assert (await store.refresh(DEFAULT)).reveal() == "eyJ.token-2", "a refused token is not taken from a cache"
    other = await store.fetch(SecretRef("entra", "https://ai.azure.com/.default"))
    assert other.reveal() == "eyJ.token-3"
    first, _, third = authority.asked
    assert first.path == "/tenant-1/oauth2/v2.0/token"
    assert first.fields["client_id"] == "client-1"
    assert first.fields["client_secret"] == "what vault:entra holds"
    assert SCOPE in first.fields["scope"]
    assert "https://ai.azure.com/.default" in third.fields["scope"]
    await store.aclose()
    with pytest.raises(SecretNotFoundError, match="not open"):
        await store.fetch(DEFAULT)


async def test_the_gateways_environment_is_the_default(tmp_path: Path, authority: EntraDouble) -> None:
    environment = {
        "AZURE_TENANT_ID": "tenant-1",
        "AZURE_CLIENT_ID": "client-1",
        "AZURE_CLIENT_SECRET": "of-the-environment",
        "AZURE_AUTHORITY_HOST": authority.url,
    }
    store = await opened(tmp_path, environment, instance_discovery=False)
    assert (await store.fetch(DEFAULT)).reveal() == "eyJ.token-1"
    assert authority.asked[0].fields["client_secret"] == "of-the-environment"


async def test_workload_identity(tmp_path: Path, authority: EntraDouble) -> None:
    (tmp_path / "cluster-token").write_text("a.token.of-the-cluster")
    store = await opened(
        tmp_path,
        {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "client-1"},
        credential="workload-identity",
        token_file=Path("cluster-token"),
        authority=authority.url,
        instance_discovery=False,
    )
    assert (await store.fetch(DEFAULT)).reveal() == "eyJ.token-1"
    assert authority.asked[0].fields["client_assertion"] == "a.token.of-the-cluster"


@pytest.mark.parametrize("credential", ["managed-identity", "default"])
async def test_a_managed_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: Any) -> None:
    with playing_entra(tmp_path, numbered(), tls=False) as host:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{host.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "of-the-host")
        store = await opened(tmp_path, credential=credential, client_id="assigned-1")
        assert (await store.fetch(DEFAULT)).reveal() == "eyJ.token-1"
        assert host.asked[0].headers["x-identity-header"] == "of-the-host"
        assert host.asked[0].fields["resource"] == "https://cognitiveservices.azure.com"
        assert host.asked[0].fields["client_id"] == "assigned-1"


async def test_a_refusal_is_named_by_its_code_alone(tmp_path: Path) -> None:
    refusal = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret somebody-secret"}
    with playing_entra(tmp_path, lambda _: (401, refusal), tls=True) as authority:
        store = await opened(
            tmp_path,
            {"AZURE_CLIENT_SECRET": "wrong-secret"},
            credential="client-secret",
            tenant_id="tenant-1",
            client_id="client-1",
            authority=authority.url,
            instance_discovery=False,
        )
        with pytest.raises(SecretNotFoundError, match=r"give no token \(AADSTS7000215\): check who") as refused:
            await store.fetch(DEFAULT)
    assert "secret somebody" not in str(refused.value)
    assert "wrong-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"credential": "client-secret"}, "write tenant-id, or set AZURE_TENANT_ID"),
        ({"credential": "client-secret", "tenant_id": "t"}, "write client-id, or set AZURE_CLIENT_ID"),
        ({"credential": "client-secret", "tenant_id": "t", "client_id": "c"}, "client-secret, or set AZURE_CLIENT_SEC"),
        ({"credential": "workload-identity"}, "write token-file, or set AZURE_FEDERATED_TOKEN_FILE"),
    ],
)
async def test_what_is_missing_is_named(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    with pytest.raises(SecretNotFoundError, match=words):
        await (await opened(tmp_path, **config)).fetch(DEFAULT)


async def test_a_cluster_token_that_is_not_there(tmp_path: Path) -> None:
    config: dict[str, Any] = {"tenant_id": "t", "client_id": "c", "token_file": Path("none")}
    store = await opened(tmp_path, credential="workload-identity", **config)
    with pytest.raises(SecretNotFoundError, match="entra:default: "):
        await store.fetch(DEFAULT)


@pytest.mark.parametrize("path", ["", "other", "http://x/.default", "https://x", "https://x y/.default"])
async def test_a_path_is_default_or_a_scope(tmp_path: Path, path: str) -> None:
    with pytest.raises(SecretNotFoundError, match="or a scope that ends with"):
        await (await opened(tmp_path)).fetch(SecretRef("entra", path))


async def test_getting_a_token_takes_no_longer_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(llmgate_azure.entra, "_ask", lambda *_: hanging.wait(20))
    try:
        with pytest.raises(SecretNotFoundError, match=r"took more than 0\.05 seconds"):
            await (await opened(tmp_path, timeout=0.05)).fetch(DEFAULT)
    finally:
        hanging.set()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"scope": "x"}, "write it as Entra ID does"),
        ({"tenant_id": "a b"}, "tenant-id: write the id"),
        ({"authority": "http://login.example"}, "authority: write https://"),
    ],
)
def test_what_entra_id_would_not_understand_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AzureEntraConfig(**config)


def test_an_identity_shows_no_secret(tmp_path: Path) -> None:
    identity = Identity(AzureEntraConfig(), {"AZURE_CLIENT_SECRET": "one"}, tmp_path, "another")
    assert "one'" not in repr(identity)
    assert "another" not in repr(identity)
