"""The kind that says who asks."""

from __future__ import annotations

from abc import abstractmethod

from .identity import Credentials, Principal
from .stage import ConfigT, Stage

__all__ = ["AuthProvider"]


class AuthProvider(Stage[ConfigT]):
    """Turns credentials into a principal. The configured providers are asked in order; the first answer counts."""

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Say who presents these credentials.

        Returns:
            The principal; None when they are not this provider's to judge, so that the next one is asked.

        Raises:
            AuthenticationError: they are this provider's, and bad; nobody else is asked.
        """
