"""The headers that a collector wants: secrets, asked for anew with each export, so that a new one counts at once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from requests import PreparedRequest
from requests.auth import AuthBase

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretUnavailableError

__all__ = ["ExportHeaders", "FetchSecret"]

FetchSecret: TypeAlias = Callable[[SecretRef], Awaitable[Secret]]

_PATIENCE: Final = 2.0
"""Seconds that an export waits for its secrets."""
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_KEY: Final = "telemetry.otlp-headers"


class ExportHeaders(AuthBase):
    """Puts headers on what is exported.

    Args:
        said: What they are: texts, and references to secrets.
    """

    def __init__(self, said: Mapping[str, str | SecretRef]) -> None:
        self._said = said
        self._known: Mapping[str, str] = {}
        self._fetch: FetchSecret | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def look(self, fetch: FetchSecret) -> None:
        """Ask for each secret, so that a missing one is known before anything is exported.

        Raises:
            SecretNotFoundError: one is missing; the message names its reference. A store that does not answer is
                asked again with the next export.
        """
        try:
            self._known = await self._read(fetch)
        except SecretUnavailableError:
            return
        except SecretNotFoundError as missing:
            raise SecretNotFoundError(f"{_KEY}: {missing.message}") from None

    def lead_to(self, fetch: FetchSecret) -> None:
        """Have secrets asked for there, in the event loop that runs now."""
        self._fetch, self._loop = fetch, asyncio.get_running_loop()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put them on a request; called in a thread of the exporter, which may wait.

        Raises:
            SecretNotFoundError: one is not to be had, and never was.
        """
        for name, value in self._now().items():
            request.headers[name] = value
        return request

    def _now(self) -> Mapping[str, str]:
        """What they are; those of the last time where nobody answers in time."""
        if self._fetch is not None and self._loop is not None and self._loop.is_running():
            asked = asyncio.run_coroutine_threadsafe(self._read(self._fetch), self._loop)
            try:
                self._known = asked.result(_PATIENCE)
            except (TimeoutError, concurrent.futures.CancelledError, SecretUnavailableError):
                asked.cancel()
        if len(self._known) < len(self._said):
            raise SecretUnavailableError(f"{_KEY}: their secrets cannot be fetched")
        return self._known

    async def _read(self, fetch: FetchSecret) -> Mapping[str, str]:
        found = {}
        for name, said in self._said.items():
            value = said if isinstance(said, str) else (await fetch(said)).reveal().strip()
            # requests and http.client show a value that they refuse: it is looked at before they do.
            if not _VALUE.fullmatch(value):
                raise SecretNotFoundError(f"{name}: what is behind {said} is no header: write one line of ASCII")
            found[name] = value
        return found
