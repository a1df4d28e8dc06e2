"""The secret store ``azure-key-vault``: the secrets of one vault.

Source: Microsoft, "Azure Key Vault REST API reference" (Get Secret, 7.4), "About Azure Key Vault secrets" (the
attributes, which the service does not hold to itself) and "Azure Key Vault REST API Error Codes".
"""

from __future__ import annotations

import re
from typing import Final

from llmgate.spec import (
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretService,
    SecretStore,
    SecretUnavailableError,
    ServiceAnswer,
    StageContext,
    secret_field,
    split_field,
)

from .config import AzureKeyVaultConfig
from .entra import AzureEntra

__all__ = ["AzureKeyVault"]

_PATH: Final = re.compile(r"[0-9A-Za-z-]{1,127}(?:/[0-9a-fA-F]{32})?")
_VERSION: Final = "7.4"
_GONE: Final = {
    "SecretDisabled": "is disabled",
    "SecretExpired": "has expired",
    "SecretNotYetValid": "is not valid yet",
}
_ROLE: Final = "the gateway's identity needs the role Key Vault Secrets User at the vault, or the access policy Get"


class AzureKeyVault(SecretStore[AzureKeyVaultConfig]):
    """``NAME:openai`` is the newest version of the secret ``openai``, ``NAME:openai/VERSION`` another one."""

    name = "azure-key-vault"
    config_class = AzureKeyVaultConfig

    def __init__(self, config: AzureKeyVaultConfig) -> None:
        super().__init__(config)
        self._identity = AzureEntra(config)
        self._context: StageContext | None = None
        self._service: SecretService | None = None

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """Nobody is asked yet: a gateway starts although Microsoft's services do not answer."""
        await self._identity.open(context)
        address = self.config.vault.rstrip("/")
        self._service = SecretService("Key Vault", address, context.transport, self.config.call_timeout)
        self._context = context

    async def aclose(self) -> None:
        """Forget the token."""
        self._service = self._context = None
        await self._identity.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret, if it is enabled and valid now.

        Raises:
            SecretNotFoundError: there is no such secret or field, or it is disabled, expired or not valid yet.
            SecretUnavailableError: the vault does not answer, or refuses the gateway.
        """
        service, context = self._service, self._context
        if service is None or context is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        path, field = split_field(ref)
        if not _PATH.fullmatch(path):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:NAME, or {ref.store}:NAME/VERSION")
        answer = await self._asked(service, ref, path)
        value = answer.at("value")
        if answer.status != 200 or not isinstance(value, str):
            raise _failure(service, ref, answer)
        usable = _usable(ref, answer, context.clock.now())
        found = secret_field(ref, value, field)
        if not found:
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        version = str(answer.at("id") or "").rpartition("/")[2]
        return Secret(found, ref=ref, version=version, usable=usable)

    async def _asked(self, service: SecretService, ref: SecretRef, path: str) -> ServiceAnswer:
        """The vault's answer; a token that it refuses is exchanged once."""
        login = SecretRef(ref.store, "default")
        address = f"/secrets/{path}?api-version={_VERSION}"
        token = await self._identity.fetch(login)
        answer = await service.ask(ref, "GET", address, headers={"authorization": f"Bearer {token.reveal()}"})
        if answer.status == 401:
            token = await self._identity.refresh(login)
            answer = await service.ask(ref, "GET", address, headers={"authorization": f"Bearer {token.reveal()}"})
        return answer


def _usable(ref: SecretRef, answer: ServiceAnswer, now: float) -> float | None:
    """Seconds until the secret ends; None for never.

    Raises:
        SecretNotFoundError: it is not to be used now; the vault itself gives it all the same.
    """
    if answer.at("attributes", "enabled") is False:
        raise SecretNotFoundError(f"{ref}: the secret is disabled in Key Vault: enable it, or add a version")
    begins, ends = answer.at("attributes", "nbf"), answer.at("attributes", "exp")
    if isinstance(begins, int) and now < begins:
        raise SecretNotFoundError(f"{ref}: the secret is not valid yet: see its activation date in Key Vault")
    if not isinstance(ends, int):
        return None
    if now >= ends:
        raise SecretNotFoundError(f"{ref}: the secret has expired in Key Vault: add a version")
    return ends - now


def _failure(service: SecretService, ref: SecretRef, answer: ServiceAnswer) -> SecretNotFoundError:
    """What an answer without a secret means; of the vault's words only its codes are told."""
    inner = answer.at("error", "innererror", "code")
    if isinstance(inner, str) and inner in _GONE:
        return SecretNotFoundError(f"{ref}: the secret {_GONE[inner]} in Key Vault: enable it, or add a version")
    if answer.status == 404:
        return SecretNotFoundError(f"{ref}: Key Vault has no such secret, or no such version of it: add it")
    code = inner if isinstance(inner, str) and inner.isalnum() else answer.at("error", "code")
    told = code if isinstance(code, str) and code.isalnum() and len(code) <= 64 else ""
    return service.failed(ref, answer, " ".join(one for one in (told, _ROLE if answer.status == 403 else "") if one))
