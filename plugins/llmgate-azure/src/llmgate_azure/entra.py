"""The secret store: tokens of Microsoft Entra ID, got beside the event loop."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from typing import Final

import attrs
import azure.core.exceptions

from llmgate.spec import (
    Secret,
    SecretCache,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
    StageContext,
)

from .config import AzureEntraConfig, is_scope
from .identity import Identity

__all__ = ["AzureEntra"]

_DEFAULT: Final = "default"
_SECRET: Final = "AZURE_CLIENT_SECRET"  # noqa: S105 - the name of a variable
_CODE: Final = re.compile(r"AADSTS\d{1,9}")


class AzureEntra(SecretStore[AzureEntraConfig]):
    """``NAME:default`` is a token for the configured scope, ``NAME:SCOPE`` one for another."""

    name = "azure-entra"
    config_class = AzureEntraConfig

    def __init__(self, config: AzureEntraConfig) -> None:
        super().__init__(config)
        self._tokens: SecretCache | None = None

    async def open(self, context: StageContext) -> None:
        """Nobody is asked yet: a gateway starts although Microsoft's services do not answer."""
        config = self.config
        caching = SecretCaching(ahead=config.ahead, pause=config.pause, timeout=config.timeout)
        self._tokens = SecretCache(functools.partial(self._get, context), caching, context.clock)

    async def aclose(self) -> None:
        """Forget every token."""
        tokens, self._tokens = self._tokens, None
        if tokens is not None:
            await tokens.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """A token that is good now.

        Raises:
            SecretNotFoundError: nobody gave one.
        """
        return await self._open(ref).fetch(ref)

    async def refresh(self, ref: SecretRef) -> Secret:
        """A new token.

        Raises:
            SecretNotFoundError: nobody gave one.
        """
        return await self._open(ref).refresh(ref)

    def _open(self, ref: SecretRef) -> SecretCache:
        if self._tokens is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        if ref.path != _DEFAULT and not is_scope(ref.path):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:default, or a scope that ends with /.default")
        return self._tokens

    async def _get(self, context: StageContext, ref: SecretRef) -> Secret:
        identity = Identity(self.config, context.environment, context.directory, await self._client_secret(context))
        scope = self.config.scope if ref.path == _DEFAULT else ref.path
        try:
            return attrs.evolve(await asyncio.to_thread(_ask, identity, scope), ref=ref)
        except azure.core.exceptions.AzureError as error:
            said = _CODE.search(str(error))
            what = said[0] if said else type(error).__name__
            reason = f"Microsoft's tools give no token ({what}): check who the gateway is and what it may do"
        except (OSError, ValueError) as error:
            told = str(error) if type(error) is ValueError else f"{type(error).__name__} where a file is read"
            reason = f"the credential {self.config.credential!r} cannot be used: {told}"
        raise SecretUnavailableError(f"{ref}: {reason}")

    async def _client_secret(self, context: StageContext) -> str | None:
        if self.config.client_secret is not None:
            return (await context.fetch_secret(self.config.client_secret)).reveal()
        return context.environment.get(_SECRET) or None


def _ask(identity: Identity, scope: str) -> Secret:
    """Ask Microsoft's library, in a thread; it may read files, run programs and call services."""
    with identity.make() as credential:
        token = credential.get_token(scope)
    # The library tells the end of a token by the clock of the machine.
    return Secret(token.token, bearer=True, lifetime=token.expires_on - time.time())
