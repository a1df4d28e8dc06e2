"""The secret store: access tokens of what Google's own tools would find, got beside the event loop."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import google.auth
import google.auth.exceptions
import requests
from google.auth.transport.requests import Request

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

from .config import GoogleCredentialsConfig
from .files import credentials_in

__all__ = ["GoogleCredentials"]

_DEFAULT: Final = "default"
_VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
_LONGEST_PATH: Final = 4096
_UNKNOWN_LIFETIME: Final = 300.0
"""Seconds for which a token is used whose end nobody tells."""


class GoogleCredentials(SecretStore[GoogleCredentialsConfig]):
    """``NAME:default`` is a token of the application default credentials, ``NAME:FILE`` of a file of credentials."""

    name = "google-credentials"
    config_class = GoogleCredentialsConfig

    def __init__(self, config: GoogleCredentialsConfig) -> None:
        super().__init__(config)
        self._tokens: SecretCache | None = None

    async def open(self, context: StageContext) -> None:
        """Nobody is asked yet: a gateway starts although Google's services do not answer."""
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
            SecretNotFoundError: there are no credentials, or nobody gave a token for them.
        """
        return await self._open(ref).fetch(ref)

    async def refresh(self, ref: SecretRef) -> Secret:
        """A new token.

        Raises:
            SecretNotFoundError: there are no credentials, or nobody gave a token for them.
        """
        return await self._open(ref).refresh(ref)

    def _open(self, ref: SecretRef) -> SecretCache:
        if self._tokens is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        return self._tokens

    async def _get(self, context: StageContext, ref: SecretRef) -> Secret:
        file = _file(context.environment, context.directory, ref)
        try:
            return attrs.evolve(await asyncio.to_thread(self._ask, file), ref=ref)
        except ValueError as error:
            name = "a file" if file is None else file.name
            reason = f"{name} holds no credentials of Google's that can be used ({type(error).__name__}): check it"
        except google.auth.exceptions.DefaultCredentialsError:
            reason = (
                f"there are no credentials of Google's: set {_VARIABLE} to the file that holds them, or give the "
                "gateway a service account"
            )
        except OSError as error:
            name = "a file" if file is None else file.name
            reason = f"{name} cannot be read ({type(error).__name__}): check its path and who may read it"
        except google.auth.exceptions.GoogleAuthError as error:
            reason = (
                f"Google's tools give no token ({type(error).__name__}): check the credentials and what they may do"
            )
        raise SecretUnavailableError(f"{ref}: {reason}")

    def _ask(self, file: Path | None) -> Secret:
        """Ask Google's tools, in a thread; they may read files, run programs and call services."""
        with requests.Session() as session:
            ask = _Bounded(session, self.config.timeout)
            found: Any
            if file is None:
                found, _ = google.auth.default(scopes=self.config.scopes, request=ask)
            else:
                found = credentials_in(file, self.config.scopes)
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
        return super().__call__(*arguments, **options)  # type: ignore[no-untyped-call]  # has no types  # has no types


def _file(environment: Mapping[str, str], directory: Path, ref: SecretRef) -> Path | None:
    """The file that a reference leads to; None for what Google's tools find elsewhere.

    Raises:
        SecretNotFoundError: it cannot be the name of a file.
    """
    named = environment.get(_VARIABLE) if ref.path == _DEFAULT else ref.path
    if named is None:
        return None
    if not named.strip() or len(named) > _LONGEST_PATH or not named.isprintable():
        raise SecretNotFoundError(f"{ref}: write {ref.store}:default, or the path of a file of credentials")
    return directory / named
