"""Finds the credential of a provider, and remembers for a moment which ones are missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.spec import Clock, Deployment, Provider, Secret, SecretNotFoundError, SecretRef, SecretStore

__all__ = ["SecretBroker"]

MISSING_FOR: Final = 2.0
"""Seconds for which a missing secret is believed to be missing: a key that is set later is noticed soon."""


class SecretBroker:
    """The secret stores by name, in front of all who need a secret.

    Args:
        stores: The configured stores.
        clock: For how long a missing secret is remembered.
    """

    def __init__(self, stores: Mapping[str, SecretStore[Any]], clock: Clock) -> None:
        self._stores = stores
        self._clock = clock
        self._missing: dict[SecretRef, tuple[float, SecretNotFoundError]] = {}

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference.

        Raises:
            SecretNotFoundError: there is no such store, or no such secret in it.
        """
        store = self._stores.get(ref.store)
        if store is None:
            raise SecretNotFoundError(
                f"secret {ref} names no configured store: use one of {', '.join(sorted(self._stores))}"
            )
        try:
            secret = await store.fetch(ref)
        except SecretNotFoundError as missing:
            self._missing[ref] = (self._clock.monotonic() + MISSING_FOR, missing)
            raise
        if self._missing:
            self._missing.pop(ref, None)
        return secret

    async def for_deployment(self, deployment: Deployment) -> Secret | None:
        """The credential of a deployment's provider, None for a keyless one.

        Raises:
            SecretNotFoundError: it has none; the message names the provider.
        """
        ref = deployment.provider.secret
        if ref is None:
            return None
        try:
            return await self.fetch(ref)
        except SecretNotFoundError as missing:
            raise SecretNotFoundError(
                f"provider {deployment.provider_name!r} has no credential: {missing.message}"
            ) from None

    def usable(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """The deployments less those whose credential was missing a moment ago; all of them when none is left."""
        if not self._missing:
            return deployments
        now = self._clock.monotonic()
        kept = [one for one in deployments if not self._is_missing(one.provider.secret, now)]
        return kept or deployments

    def lacks(self, provider: Provider) -> bool:
        """Whether the provider's credential was missing when it was last looked for."""
        return provider.secret in self._missing

    def _is_missing(self, ref: SecretRef | None, now: float) -> bool:
        remembered = self._missing.get(ref) if ref is not None else None
        return remembered is not None and remembered[0] > now
