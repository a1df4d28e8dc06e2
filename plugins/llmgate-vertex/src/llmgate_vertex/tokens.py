"""Short-lived tokens, kept while they are good: got once for all who ask, and renewed before they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import attrs

from llmgate.spec import Clock, Secret, SecretNotFoundError, SecretRef

__all__ = ["Token", "Tokens"]

log = logging.getLogger(__name__)


@attrs.frozen
class Token:
    """A token as it was given.

    Args:
        value: The token.
        lifetime: Seconds from now for which it is good.
    """

    value: str = attrs.field(repr=False)
    lifetime: float


@attrs.frozen
class _Kept:
    """A token in use: monotonic seconds from which on it is renewed, and at which it ends."""

    secret: Secret
    renew: float
    end: float


class Tokens:
    """Tokens by what they are called.

    Args:
        clock: Monotonic time.
        get: Gets a token; raises ``SecretNotFoundError``.
        ahead: Seconds before its end from which on a token is renewed; half of a token's life where that is less.
        pause: Seconds for which nobody is asked again after a failure.
    """

    def __init__(
        self, clock: Clock, get: Callable[[SecretRef], Awaitable[Token]], *, ahead: float, pause: float
    ) -> None:
        self._clock = clock
        self._get = get
        self._ahead = ahead
        self._pause = pause
        self._kept: dict[SecretRef, _Kept] = {}
        self._failed: dict[SecretRef, tuple[float, SecretNotFoundError]] = {}
        self._running: dict[SecretRef, asyncio.Task[Secret]] = {}

    async def fetch(self, ref: SecretRef) -> Secret:
        """The token; where it ends soon another is got meanwhile, for the next who asks.

        Raises:
            SecretNotFoundError: there is none, or nobody gave one.
        """
        now = self._clock.monotonic()
        until, failure = self._failed.get(ref, (now, None))
        kept = self._kept.get(ref)
        if kept is not None and now < kept.end:
            if now >= kept.renew and until <= now:
                self._start(ref)
            return kept.secret
        if failure is not None and now < until:
            raise SecretNotFoundError(failure.message)
        return await self.renew(ref)

    async def renew(self, ref: SecretRef) -> Secret:
        """A token that is got now, by one for all who wait.

        Raises:
            SecretNotFoundError: there is none, or nobody gave one.
        """
        task = self._start(ref)
        try:
            # Shielded: who leaves must not take the token from the others who wait for it.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():  # not who waits has been stopped, but the store
                raise SecretNotFoundError(f"{ref} cannot be read: its secret store was closed") from None
            raise

    async def aclose(self) -> None:
        """Stop what is under way."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _start(self, ref: SecretRef) -> asyncio.Task[Secret]:
        task = self._running.get(ref)
        if task is None:
            task = asyncio.create_task(self._renewed(ref), name=f"token {ref}")
            self._running[ref] = task
            task.add_done_callback(lambda done: self._ended(ref, done))
        return task

    async def _renewed(self, ref: SecretRef) -> Secret:
        try:
            token = await self._get(ref)
        except SecretNotFoundError:
            raise
        except Exception:
            log.exception("getting the token %s failed", ref)
            raise SecretNotFoundError(f"{ref}: getting a token failed unexpectedly: see the log") from None
        if not token.value:
            raise SecretNotFoundError(f"{ref}: the token that was given is empty")
        now = self._clock.monotonic()
        secret = Secret(value=token.value, ref=ref, bearer=True)
        ahead = min(self._ahead, token.lifetime / 2)
        self._kept[ref] = _Kept(secret, now + token.lifetime - ahead, now + token.lifetime)
        self._failed.pop(ref, None)
        return secret

    def _ended(self, ref: SecretRef, task: asyncio.Task[Secret]) -> None:
        self._running.pop(ref, None)
        failure = None if task.cancelled() else task.exception()
        if failure is None:
            return
        if isinstance(failure, SecretNotFoundError):
            self._failed[ref] = (self._clock.monotonic() + self._pause, failure)
        if ref in self._kept:  # nobody waits for it
            log.warning("the token %s could not be renewed: %s", ref, failure)
