"""The kind that keeps credentials."""

from __future__ import annotations

from abc import abstractmethod

from .identity import Secret, SecretRef
from .stage import ConfigT, Stage

__all__ = ["SecretStore"]


class SecretStore(Stage[ConfigT]):
    """Fetches secrets. Called for every attempt: an implementation caches, and notices a changed value in seconds."""

    @abstractmethod
    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret behind a reference.

        Raises:
            SecretNotFoundError: it is not there; the message names ``ref`` and what to set.
        """

    async def refresh(self, ref: SecretRef) -> Secret:
        """The secret as its source has it now, whatever is cached; asked when a provider has refused the last one.

        A store that caches overrides it; the others have nothing to do.

        Raises:
            SecretNotFoundError: it is not there any more.
        """
        return await self.fetch(ref)
