"""A vault's secrets: versions, what is disabled or expired, refusals; Microsoft's own client vouches for the double."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import azure.core.exceptions
import llmgate_azure.entra
import pytest
from azure.core.credentials import AccessToken
from azure.keyvault.secrets import SecretClient
from key_vault_double import KeyVaultDouble, playing_key_vault
from llmgate_azure.config import AzureKeyVaultConfig
from llmgate_azure.key_vault import AzureKeyVault

from llmgate.spec import (
    Secret,
    SecretCache,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretUnavailableError,
    StageContext,
)
from llmgate.testing.clock import FakeClock
from llmgate.testing.conformance import SecretConformance
from llmgate.wire.transport import AiohttpTransport


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVaultDouble]:
    """A vault that takes the tokens that the identity gets: a new one each time, and all of them."""
    with playing_key_vault(tmp_path) as double:
        numbers = itertools.count(1)

        def ask(_: Any, scope: str) -> Secret:
            assert scope == "https://vault.azure.net/.default"
            token = f"eyJ.token-{next(numbers)}"
            double.tokens.add(token)
            return Secret(token, bearer=True, lifetime=3600.0)

        monkeypatch.setattr(llmgate_azure.entra, "_ask", ask)
        yield double


@pytest.fixture
async def transport(vault: KeyVaultDouble, tmp_path: Path) -> AsyncIterator[AiohttpTransport]:  # noqa: ARG001 - its certificate
    made = AiohttpTransport(tls=ssl.create_default_context(cafile=str(tmp_path / "ca.pem")))
    yield made
    await made.aclose()


@pytest.fixture
async def store(vault: KeyVaultDouble, transport: AiohttpTransport, tmp_path: Path) -> AsyncIterator[AzureKeyVault]:
    made = AzureKeyVault(AzureKeyVaultConfig(vault=f"{vault.url}/", credential="managed-identity", call_timeout=20))
    nothing: Any = None
    await made.open(StageContext("secrets.kv", FakeClock(), transport, nothing, nothing, {}, tmp_path))
    yield made
    await made.aclose()


def ref(path: str) -> SecretRef:
    return SecretRef("kv", path)


def test_microsofts_own_client_takes_the_double_for_a_vault(vault: KeyVaultDouble, tmp_path: Path) -> None:
    class Identity:
        def get_token(self, *_: str, **__: Any) -> AccessToken:
            vault.tokens.add("eyJ.of-the-client")
            return AccessToken("eyJ.of-the-client", 4_000_000_000)

    version = vault.put("openai", "sk-1", exp=4_000_000_000)
    options = {"verify_challenge_resource": False, "connection_verify": str(tmp_path / "ca.pem")}
    with SecretClient(vault.url, Identity(), **options) as client:
        found = client.get_secret("openai")
        assert (found.value, found.properties.version) == ("sk-1", version)
        assert found.properties.expires_on is not None
        with pytest.raises(azure.core.exceptions.ResourceNotFoundError):
            client.get_secret("none")
        vault.put("off", "x", enabled=False)
        with pytest.raises(azure.core.exceptions.HttpResponseError, match="disabled secret"):
            client.get_secret("off")


async def test_the_newest_version_another_one_and_a_field(store: AzureKeyVault, vault: KeyVaultDouble) -> None:
    first = vault.put("openai", "sk-1")
    second = vault.put("openai", '{"api_key": "sk-2"}')
    found = await store.fetch(ref("openai#api_key"))
    assert (found.reveal(), found.version, found.usable) == ("sk-2", second, None)
    assert (await store.fetch(ref(f"openai/{first}"))).reveal() == "sk-1"


async def test_what_is_disabled_expired_or_early_is_not_used(store: AzureKeyVault, vault: KeyVaultDouble) -> None:
    now = int(FakeClock().now())
    vault.put("off", "canary", enabled=False)
    vault.put("old", "canary", exp=now)
    vault.put("early", "canary", nbf=now + 60)
    for name, words in (("off", "is disabled"), ("old", "has expired"), ("early", "is not valid yet")):
        with pytest.raises(SecretNotFoundError, match=words) as caught:
            await store.fetch(ref(name))
        assert not isinstance(caught.value, SecretUnavailableError)
        assert "canary" not in str(caught.value)
    vault.put("ending", "value", exp=now + 60, nbf=now - 60)
    assert (await store.fetch(ref("ending"))).usable == pytest.approx(60, abs=1)


async def test_a_secret_ends_although_the_vault_cannot_be_asked(store: AzureKeyVault, vault: KeyVaultDouble) -> None:
    clock: Any = store._context.clock  # type: ignore[union-attr]
    vault.put("ending", "value", exp=int(clock.now()) + 100)
    kept = SecretCache(store.fetch, SecretCaching(refresh=60, stale=3600), clock)
    await kept.fetch(ref("ending"))
    vault.forbidden = "ForbiddenByFirewall"
    clock.advance(90)
    assert (await kept.fetch(ref("ending"))).reveal() == "value"
    clock.advance(20)
    with pytest.raises(SecretUnavailableError):
        await kept.fetch(ref("ending"))


async def test_a_token_that_is_refused_is_exchanged_once(store: AzureKeyVault, vault: KeyVaultDouble) -> None:
    vault.put("openai", "sk-1")
    await store.fetch(ref("openai"))
    vault.tokens.clear()
    assert (await store.fetch(ref("openai"))).reveal() == "sk-1"
    assert len(vault.asked) == 3


async def test_a_refusal_names_the_role_and_is_no_proof_of_absence(store: AzureKeyVault, vault: KeyVaultDouble) -> None:
    vault.forbidden = "ForbiddenByRbac"
    with pytest.raises(SecretUnavailableError, match=r"403: ForbiddenByRbac .* role Key Vault Secrets User") as caught:
        await store.fetch(ref("openai"))
    assert "canary-object-id" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"), [("none", "no such secret"), ("a_b", "write kv:NAME"), ("a/b", "NAME/VERSION")]
)
async def test_what_is_not_there_is_said_for_certain(store: AzureKeyVault, path: str, words: str) -> None:
    with pytest.raises(SecretNotFoundError, match=words) as caught:
        await store.fetch(ref(path))
    assert not isinstance(caught.value, SecretUnavailableError)


@pytest.mark.parametrize("wrong", ["my-vault", "http://my-vault.vault.azure.net", "https://x/secrets", "https://u@x"])
def test_a_vault_is_an_address_with_tls(wrong: str) -> None:
    with pytest.raises(ValueError, match="vault: "):
        AzureKeyVaultConfig(vault=wrong)


class TestKeyVault(SecretConformance):
    """What every secret store promises."""

    stage_class = AzureKeyVault
    path = "canary"
    notices_within = 60.0
    multiline = True

    @pytest.fixture(autouse=True)
    def _vault(self, vault: KeyVaultDouble, transport: AiohttpTransport) -> None:
        self.vault = vault
        self.transport = transport

    def make_config(self) -> AzureKeyVaultConfig:
        url = self.vault.url if hasattr(self, "vault") else "https://127.0.0.1:1"
        return AzureKeyVaultConfig(vault=url, call_timeout=20, cache=SecretCaching(pause=1, timeout=40))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=self.transport)

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        self.vault.put(path, value)

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        self.vault.put(path, "gone", enabled=False)

    def cut(self, context: StageContext) -> None:  # noqa: ARG002 - the kit's signature
        self.vault.forbidden = "ForbiddenByFirewall"
