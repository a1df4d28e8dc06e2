"""Who the gateway is to Google: the application default credentials, asked for tokens beside the event loop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import google.auth
import google.auth.exceptions
import requests
from google.auth.transport.requests import Request

from llmgate.spec import Secret, SecretCache, SecretCaching, SecretRef, SecretUnavailableError, StageContext

from .config import GoogleSecretsConfig

__all__ = ["Identity"]

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_UNKNOWN_LIFETIME: Final = 300.0
"""Seconds for which a token is used whose end nobody tells."""


class Identity:
    """Tokens for calls of the store's own.

    Args:
        config: The keys of the store.
        context: What the store was opened with.
    """

    def __init__(self, config: GoogleSecretsConfig, context: StageContext) -> None:
        self._config = config
        self._context = context
        self._tokens = SecretCache(self._got, SecretCaching(timeout=config.identity_timeout), context.clock)

    async def token(self, ref: SecretRef, *, anew: bool = False) -> str:
        """A token.

        Args:
            ref: Which secret it is for.
            anew: Whether the last one was refused.

        Raises:
            SecretUnavailableError: nobody gives one.
        """
        if self._config.credentials is not None:
            return (await self._context.fetch_secret(self._config.credentials)).reveal()
        login = SecretRef(ref.store, "identity")
        found = await (self._tokens.refresh(login) if anew else self._tokens.fetch(login))
        return found.reveal()

    async def aclose(self) -> None:
        """Forget the token."""
        await self._tokens.aclose()

    async def _got(self, ref: SecretRef) -> Secret:
        try:
            return attrs.evolve(await asyncio.to_thread(_ask, self._config.identity_timeout), ref=ref)
        except google.auth.exceptions.DefaultCredentialsError:
            reason = (
                "there are no credentials of Google's: give the gateway a service account, set "
                "GOOGLE_APPLICATION_CREDENTIALS in its environment, or write credentials"
            )
        except (OSError, ValueError, google.auth.exceptions.GoogleAuthError) as error:
            reason = f"Google's tools give no token ({type(error).__name__}): check what the credentials may do"
        raise SecretUnavailableError(f"{ref}: {reason}")


def _ask(bound: float) -> Secret:
    """Ask Google's tools, in a thread; they may read files, run programs and call services."""
    with requests.Session() as session:
        ask = _Bounded(session, bound)
        found: Any
        found, _ = google.auth.default(scopes=[_SCOPE], request=ask)
        found.refresh(ask)
    if not found.token:
        raise google.auth.exceptions.RefreshError("the answer holds no token")
    # Google's tools tell the end of a token by the clock of the machine, in UTC without saying so.
    left = (found.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if found.expiry else None
    return Secret(found.token, bearer=True, lifetime=_UNKNOWN_LIFETIME if left is None else left)


class _Bounded(Request):
    """Google's tools' HTTP, each call bounded, so that a thread that nobody waits for any longer ends too."""

    def __init__(self, session: requests.Session, bound: float) -> None:
        super().__init__(session)
        self._bound = bound

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Send a request within the bound, or a shorter one of the caller's."""
        options["timeout"] = min(options.get("timeout") or self._bound, self._bound)
        return super().__call__(*arguments, **options)  # type: ignore[no-untyped-call]  # has no types
