"""The kind that keeps credentials."""

from __future__ import annotations

from abc import abstractmethod

from .identity import Secret, SecretRef
from .secret_cache import SecretCaching
from .stage import ConfigT, Stage

__all__ = ["SecretStore"]


class SecretStore(Stage[ConfigT]):
    """Fetches secrets.

    A store that calls somebody says so by ``caching``, and the pipeline keeps what it gives: one call for all who ask,
    a last value while nobody answers. Any other is asked for every attempt.
    """

    @property
    def caching(self) -> SecretCaching | None:
        """How long the pipeline keeps what the store gives; None where it is to be asked for every attempt."""
        return None

    @abstractmethod
    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference, as its source has it now.

        Raises:
            SecretNotFoundError: it is not there; the message names ``ref`` and what to set.
            SecretUnavailableError: nobody can say: its source does not answer, or refuses to.
        """

    async def refresh(self, ref: SecretRef) -> Secret:
        """The secret as its source has it now, whatever is cached; asked when a provider has refused the last one.

        A store with a cache of its own overrides it; the others have nothing to do.

        Raises:
            SecretNotFoundError: it is not there any more.
            SecretUnavailableError: nobody can say.
        """
        return await self.fetch(ref)
