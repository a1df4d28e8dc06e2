"""Finds the credential of a provider, and remembers for a moment which ones are missing or have been refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

import attrs

from llmgate.spec import Clock, Deployment, Provider, Secret, SecretNotFoundError, SecretRef

__all__ = ["SecretBroker", "SecretSource"]

log = logging.getLogger("llmgate.credentials")

MISSING_FOR: Final = 2.0
"""Seconds for which a missing secret is believed to be missing: a key that is set later is noticed soon."""

MOST_COOLED: Final = 1000
"""Refused credentials remembered; beyond it the one refused first is forgotten."""

_Use: TypeAlias = tuple[SecretRef, str | None]
"""A credential and the deployment that it was refused for, None for all of them."""


class SecretSource(Protocol):
    """A secret store, or what keeps the secrets of one."""

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference; raises ``SecretNotFoundError``."""
        ...

    async def refresh(self, ref: SecretRef) -> Secret:
        """The secret as its source has it now; raises ``SecretNotFoundError``."""
        ...


@attrs.frozen
class _Refused:
    """A credential that a provider has refused.

    Args:
        until: Monotonic seconds.
        fingerprint: Which version of it was refused; another one may do.
    """

    until: float
    fingerprint: str


class SecretBroker:
    """The secret stores by name, in front of all who need a secret.

    Args:
        stores: The configured stores.
        clock: For how long a missing or refused secret is remembered.
        cool_down: Seconds for which a refused secret is remembered.
    """

    def __init__(self, stores: Mapping[str, SecretSource], clock: Clock, cool_down: float = 60.0) -> None:
        self._stores = stores
        self._clock = clock
        self._cool_down = cool_down
        self._missing: dict[SecretRef, tuple[float, SecretNotFoundError]] = {}
        self._cooled: dict[_Use, _Refused] = {}
        self._turns: dict[SecretRef, asyncio.Lock] = {}

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference.

        Raises:
            SecretNotFoundError: there is no such store, or no such secret in it.
        """
        store = self._store(ref)
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

    async def after_refusal(self, deployment: Deployment, refused: Secret, status: int | None) -> Secret | None:
        """What to do about a credential that a provider has refused: the one that has taken its place, if any.

        Its store is asked once, past any cache. Where it has no other, the credential is cooled: left out for a while.
        A 401 is about the credential, so all of its deployments are; a 403 says that it may not do this, so only the
        deployment is.

        Args:
            deployment: Where it was refused.
            refused: The credential.
            status: The provider's status.

        Returns:
            Another credential, worth one try; None where there is none.
        """
        ref = deployment.provider.secret
        if ref is None:
            return None
        use = _use(ref, deployment, status)
        # One after the other: of a hundred requests that were under way, one asks the store and the others learn of it.
        async with self._turns.setdefault(ref, asyncio.Lock()):
            known = self._cooled.get(use)
            if known is not None and known.fingerprint == refused.fingerprint and known.until > self._clock.monotonic():
                return None
            current = await self.replaced(ref, refused)
            if current is not None and current.reveal() != refused.reveal():
                return current
            self.cool(deployment, refused, status)
            return None

    def cool(self, deployment: Deployment, refused: Secret, status: int | None) -> None:
        """Leave a credential out for a while.

        Args:
            deployment: Where it was refused.
            refused: The credential.
            status: The provider's status.
        """
        ref = deployment.provider.secret
        if ref is None:
            return
        use = _use(ref, deployment, status)
        self._cooled.pop(use, None)
        if len(self._cooled) >= MOST_COOLED:
            del self._cooled[next(iter(self._cooled))]
        self._cooled[use] = _Refused(self._clock.monotonic() + self._cool_down, refused.fingerprint)

    async def usable(self, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
        """The deployments less those whose credential is missing or refused; all of them when none is left.

        One that may be asked with any of several keys is kept: each key is judged once they are told apart.
        """
        if not (self._missing or self._cooled):
            return deployments
        now = self._clock.monotonic()
        kept = [one for one in deployments if one.provider.keys or not self._is_missing(one.provider.secret, now)]
        if self._cooled:
            kept = [one for one in kept if not await self._is_cooled(one, now)] or kept
        return kept or deployments

    def lacks(self, provider: Provider) -> bool:
        """Whether the provider's credential was missing when it was last looked for."""
        if provider.keys:
            return all(key.secret in self._missing for key in provider.keys)
        return provider.secret in self._missing

    def _store(self, ref: SecretRef) -> SecretSource:
        store = self._stores.get(ref.store)
        if store is None:
            raise SecretNotFoundError(
                f"secret {ref} names no configured store: use one of {', '.join(sorted(self._stores))}"
            )
        return store

    async def replaced(self, ref: SecretRef, refused: Secret) -> Secret | None:
        """What the store has now; None where it has nothing, or cannot say: the provider's answer stands."""
        try:
            store = self._store(ref)
            known = await store.fetch(ref)
            if known.reveal() != refused.reveal():  # somebody else was refused before, and has asked
                return known
            return await store.refresh(ref)
        except SecretNotFoundError:
            return None
        except Exception:
            log.exception("secret %s cannot be refreshed", ref)
            return None

    def _is_missing(self, ref: SecretRef | None, now: float) -> bool:
        remembered = self._missing.get(ref) if ref is not None else None
        return remembered is not None and remembered[0] > now

    async def _is_cooled(self, deployment: Deployment, now: float) -> bool:
        """Whether a deployment's credential is left out; one that has been exchanged meanwhile is not."""
        ref = deployment.provider.secret
        if ref is None or deployment.provider.keys:
            return False
        for use in ((ref, None), (ref, deployment.id)):
            refused = self._cooled.get(use)
            if refused is None:
                continue
            if refused.until > now and await self._still(ref, refused):
                return True
            self._cooled.pop(use, None)
        return False

    async def _still(self, ref: SecretRef, refused: _Refused) -> bool:
        try:
            return (await self.fetch(ref)).fingerprint == refused.fingerprint
        except SecretNotFoundError:
            return True


def _use(ref: SecretRef, deployment: Deployment, status: int | None) -> _Use:
    return ref, deployment.id if status == 403 else None
