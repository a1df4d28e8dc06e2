"""Lets everybody in, by decision of the operator."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from llmgate.spec import AuthProvider, Credentials, Principal

__all__ = ["Anonymous", "AnonymousConfig"]


@attrs.frozen
class AnonymousConfig:
    """The config of ``anonymous``.

    Args:
        models: Patterns (``fnmatch``) of the models that anybody may call; None for all.
    """

    models: Sequence[str] | None = None


class Anonymous(AuthProvider[AnonymousConfig]):
    """Answers every caller with the principal ``anonymous``, whatever it presents.

    It stands last where others are asked first: a caller with a bad key has been refused by then, and only those who
    present nothing get here.
    """

    name = "anonymous"
    config_class = AnonymousConfig

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The anonymous principal; what was presented is not looked at."""
        del credentials
        return Principal(id="anonymous", issuer=self.name, kind="anonymous", models=self.config.models)
