"""What a stage's context leads to: the stores of the newest snapshot that the stage is part of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmgate.spec import (
    ConfigError,
    DomainBook,
    GatewayClosedError,
    Secret,
    SecretNotFoundError,
    SecretRef,
    SecretUnavailableError,
    StateStore,
)

from .credentials import SecretBroker

__all__ = ["StageLink"]


class StageLink:
    """Leads one stage to its secrets and state stores, and remembers which stores it has used.

    A stage may outlive the snapshot it was opened for; a reload turns its link to the stores of the new one. Which
    stores it has used decides whether it may: what it took from a store that is replaced, it must take again.
    """

    __slots__ = ("_domains", "_secrets", "_state", "used")

    def __init__(self) -> None:
        self.used: set[tuple[str, str]] = set()
        self._secrets: SecretBroker | None = None
        self._state: Mapping[str, StateStore[Any]] = {}
        self._domains: DomainBook[Any] | None = None

    def lead_to(
        self,
        secrets: SecretBroker,
        state: Mapping[str, StateStore[Any]],
        domains: DomainBook[Any] | None = None,
    ) -> None:
        """Lead to these stores from now on."""
        self._secrets = secrets
        self._state = state
        self._domains = domains

    async def fetch_secret(self, ref: SecretRef) -> Secret:
        """The secret behind a reference; see ``StageContext``."""
        if self._secrets is None:
            raise GatewayClosedError(f"secret {ref} cannot be fetched before the pipeline is opened")
        self.used.add(("secrets", ref.store))
        return await self._secrets.fetch(ref)

    async def fetch_for_store(self, ref: SecretRef) -> Secret:
        """The secret that a secret store needs for itself: without it the store cannot say what is there.

        Raises:
            SecretUnavailableError: it is not there, or nobody can say.
        """
        try:
            return await self.fetch_secret(ref)
        except SecretUnavailableError:
            raise
        except SecretNotFoundError as missing:
            reason = missing.message
        raise SecretUnavailableError(reason)

    def state(self, name: str) -> StateStore[Any]:
        """The configured state store of that name; see ``StageContext``.

        Raises:
            ConfigError: there is none.
        """
        self.used.add(("state", name))
        try:
            return self._state[name]
        except KeyError:
            raise ConfigError(
                f"state store {name!r} is not configured: write it under state, or use one of "
                f"{', '.join(sorted(self._state))}"
            ) from None

    def domains(self) -> DomainBook[Any] | None:
        """The book of domains; see ``StageContext``."""
        self.used.add(("domains", "book"))
        return self._domains

    def uses_any(self, stores: set[tuple[str, str]]) -> bool:
        """Whether the stage has used one of these stores, each given as kind and name."""
        return not self.used.isdisjoint(stores)
