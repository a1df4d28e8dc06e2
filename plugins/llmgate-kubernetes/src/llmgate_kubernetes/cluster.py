"""The cluster's API: secrets one by one, and the news of each.

Source: Kubernetes, "API reference: Secret v1", "Kubernetes API concepts" (watch, bookmarks, 410 Gone) and "Accessing
the Kubernetes API from a pod".
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from llmgate.codecs.ndjson import LineSplitter
from llmgate.spec import Clock, ProviderError, SecretRef, SecretService, SecretUnavailableError, ServiceAnswer

__all__ = ["Cluster"]

log = logging.getLogger(__name__)

_WATCHED_FOR: Final = 240.0
"""Seconds after which the API ends a watch, so that one that has died unseen does not last."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_LARGEST_TOKEN: Final = 64 * 1024


class Cluster:
    """Calls the API as the pod's service account.

    Args:
        service: Where the API is.
        token_file: The service account's token.
        clock: How long to wait before a watch that has failed is tried again.
    """

    def __init__(self, service: SecretService, token_file: Path, clock: Clock) -> None:
        self._service = service
        self._token_file = token_file
        self._clock = clock

    async def get(self, ref: SecretRef, namespace: str, name: str) -> ServiceAnswer:
        """The API's answer to the question for a secret.

        Raises:
            SecretUnavailableError: there is none, or no token to ask with.
        """
        path = f"/api/v1/namespaces/{quote(namespace)}/secrets/{quote(name)}"
        return await self._service.ask(ref, "GET", path, headers={"authorization": await self._authorization(ref)})

    async def watch(self, ref: SecretRef, namespace: str, name: str, changed: Callable[[], None]) -> None:
        """Call back whenever a secret may have changed, until cancelled.

        A watch that ends, as each does, is begun again; what has changed in between is seen by its first event.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._watch_once(ref, namespace, name, changed)
                pause = _FIRST_PAUSE
            except (ProviderError, SecretUnavailableError, ValueError) as error:
                log.info("the watch of the secret %s has failed, and is tried again: %s", ref, type(error).__name__)
                pause = min(2 * pause, _LONGEST_PAUSE)
            await self._clock.sleep(pause * (0.5 + self._clock.random() / 2))

    async def _watch_once(self, ref: SecretRef, namespace: str, name: str, changed: Callable[[], None]) -> None:
        """Follow one watch to its end.

        Raises:
            ProviderError: it has broken.
            ValueError: it is no watch.
        """
        # Named by a field: so the right to watch may be limited to this one secret.
        query = f"watch=true&fieldSelector=metadata.name%3D{quote(name)}&timeoutSeconds={_WATCHED_FOR:g}"
        path = f"/api/v1/namespaces/{quote(namespace)}/secrets?{query}"
        headers = {"authorization": await self._authorization(ref)}
        request = self._service.request("GET", path, headers, idle=_WATCHED_FOR + 10)
        stream = await self._service.transport.open_stream(request)
        try:
            if stream.status != 200:
                raise ValueError("the API refuses the watch")
            lines = LineSplitter()
            async for piece in stream:
                for line in lines.feed(piece):
                    if line.strip() and _is_news(line, name):
                        changed()
        finally:
            await stream.aclose()

    async def _authorization(self, ref: SecretRef) -> str:
        try:
            token = await asyncio.to_thread(_read, self._token_file)
        except (OSError, UnicodeDecodeError) as error:
            raise SecretUnavailableError(
                f"{ref}: the service account's token {self._token_file} cannot be read ({type(error).__name__}): run "
                "in a pod, or write token-file"
            ) from None
        return f"Bearer {token.strip()}"


def _is_news(line: bytes, name: str) -> bool:
    """Whether an event is about the secret; a bookmark is not.

    Raises:
        ValueError: it is no event, or the watch cannot go on.
    """
    event = json.loads(line)
    kind = event.get("type") if isinstance(event, dict) else None
    if kind == "ERROR":
        raise ValueError("the API ends the watch")
    if kind not in ("ADDED", "MODIFIED", "DELETED"):
        return False
    about = event.get("object", {}).get("metadata", {}).get("name")
    return about in (name, None)


def _read(file: Path) -> str:
    with file.open(encoding="utf-8") as text:
        return text.read(_LARGEST_TOKEN)
