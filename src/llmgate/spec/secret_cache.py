"""Secrets kept while they are good: got once for all who ask, renewed in time, used on while their source is silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import attrs

from .clock import Clock
from .errors import SecretNotFoundError, SecretUnavailableError
from .identity import Secret, SecretRef

__all__ = ["SecretCache", "SecretCaching"]

log = logging.getLogger("llmgate.secrets")

MOST_KEPT: Final = 1000
"""Secrets kept by one cache; beyond it the one that was fetched first is forgotten."""

_Get: TypeAlias = Callable[[SecretRef], Awaitable[Secret]]


@attrs.frozen
class SecretCaching:
    """How long the pipeline keeps what a secret store gives.

    Args:
        refresh: Seconds after which a secret is fetched again.
        stale: Seconds beyond that for which it is used on while its source does not answer.
        patience: Seconds that a request waits for a secret to be fetched again before it uses the one that is known.
        timeout: Seconds that fetching one may take.
        pause: Seconds for which nobody is asked again that has failed, or has no such secret.
        ahead: Seconds before its end from which on a secret that ends is renewed, beside the requests that still use
            it; half of its life where that is less.
    """

    refresh: float = attrs.field(default=60.0, validator=attrs.validators.ge(0))
    stale: float = attrs.field(default=86400.0, validator=attrs.validators.ge(0))
    patience: float = attrs.field(default=0.5, validator=attrs.validators.ge(0))
    timeout: float = attrs.field(default=5.0, validator=attrs.validators.gt(0))
    pause: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))
    ahead: float = attrs.field(default=300.0, validator=attrs.validators.ge(0))


@attrs.frozen
class _Kept:
    """A secret in use: monotonic seconds from which on it is fetched again, and from which on it is no good."""

    secret: Secret
    renew: float
    end: float


@attrs.frozen
class _Flight:
    """A fetch under way, and when it began."""

    task: asyncio.Task[Secret]
    began: float


class SecretCache:
    """Secrets by reference; the pipeline puts one in front of each store whose ``caching`` is set.

    Args:
        get: Fetches a secret; raises ``SecretNotFoundError``.
        caching: For how long.
        clock: Monotonic time.
        renew: Fetches a secret past any cache of the source's own; None for ``get``.
    """

    def __init__(self, get: _Get, caching: SecretCaching, clock: Clock, *, renew: _Get | None = None) -> None:
        self._get = get
        self._renew = renew or get
        self._caching = caching
        self._clock = clock
        self._kept: dict[SecretRef, _Kept] = {}
        self._failed: dict[SecretRef, tuple[float, SecretNotFoundError]] = {}
        self._flights: dict[SecretRef, _Flight] = {}

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret; fetched again when it is due, and as it was where its source does not answer.

        Raises:
            SecretNotFoundError: it is not there, or nobody could say.
        """
        now = self._clock.monotonic()
        kept = self._kept.get(ref)
        if kept is not None and now < kept.renew and now < kept.end:
            return kept.secret
        until, failure = self._failed.get(ref, (now, None))
        if kept is None or now >= kept.end:
            if failure is not None and now < until:
                raise type(failure)(failure.message)
            return await self._landed(ref, self._start(ref, self._get, now))
        if now >= until:
            flight = self._start(ref, self._get, now)
            # One that ends is good until then; any other may have been replaced, and is worth a moment.
            wait = flight.began + self._caching.patience - now if kept.secret.lifetime is None else 0.0
            if wait > 0:
                await asyncio.wait({flight.task}, timeout=wait)
                return self._known(ref, kept)
        return kept.secret

    async def refresh(self, ref: SecretRef) -> Secret:
        """The secret as its source has it now, asked once for all who wait.

        Raises:
            SecretNotFoundError: it is not there, or nobody could say.
        """
        running = self._flights.get(ref)
        if running is not None:  # it began before somebody knew that the secret is no good
            await asyncio.wait({running.task})
        return await self._landed(ref, self._start(ref, self._renew, self._clock.monotonic()))

    def outdate(self, ref: SecretRef) -> None:
        """Have the secret fetched again by who asks next: somebody has seen that it has changed."""
        kept = self._kept.get(ref)
        if kept is not None:
            self._kept[ref] = attrs.evolve(kept, renew=self._clock.monotonic())
        self._failed.pop(ref, None)

    async def aclose(self) -> None:
        """Stop what is under way and forget every secret. Idempotent."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._kept.clear()
        self._failed.clear()

    def _known(self, ref: SecretRef, before: _Kept) -> Secret:
        """What is known after a wait: a new secret, that there is none any more, or still the one from before."""
        kept = self._kept.get(ref)
        if kept is not None:
            return kept.secret
        failure = self._failed.get(ref)
        if failure is not None:
            raise type(failure[1])(failure[1].message)
        return before.secret

    def _start(self, ref: SecretRef, get: _Get, now: float) -> _Flight:
        flight = self._flights.get(ref)
        if flight is None:
            task = asyncio.create_task(self._fetched(ref, get), name=f"secret {ref}")
            flight = self._flights[ref] = _Flight(task, now)
            task.add_done_callback(lambda done: self._ended(ref, done))
        return flight

    async def _landed(self, ref: SecretRef, flight: _Flight) -> Secret:
        try:
            # Shielded: who leaves must not take the secret from the others who wait for it.
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            if flight.task.cancelled():  # not who waits has been stopped, but the store
                raise SecretUnavailableError(f"{ref} cannot be read: its secret store was closed") from None
            raise

    async def _fetched(self, ref: SecretRef, get: _Get) -> Secret:
        bound = self._caching.timeout
        try:
            async with asyncio.timeout(bound):
                secret = await get(ref)
        except SecretUnavailableError:
            raise
        except SecretNotFoundError:
            self._kept.pop(ref, None)
            raise
        except TimeoutError:
            raise SecretUnavailableError(f"{ref}: fetching it took more than {bound:g} seconds") from None
        except Exception:
            log.exception("fetching the secret %s failed", ref)
            raise SecretUnavailableError(f"{ref}: fetching it failed unexpectedly: see the log") from None
        if not secret.reveal():
            self._kept.pop(ref, None)
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        self._keep(ref, secret)
        return secret

    def _keep(self, ref: SecretRef, secret: Secret) -> None:
        now, caching = self._clock.monotonic(), self._caching
        if secret.lifetime is None:
            renew = now + caching.refresh
            end = renew + caching.stale
            kept = _Kept(secret, renew, end if secret.usable is None else min(end, now + secret.usable))
        else:
            end = now + secret.lifetime
            kept = _Kept(secret, end - min(caching.ahead, secret.lifetime / 2), end)
        self._failed.pop(ref, None)
        before = self._kept.pop(ref, None)
        if before is not None and secret.lifetime is None and before.secret.fingerprint != secret.fingerprint:
            log.info("the secret %s has been replaced", ref)
        _bound(self._kept)
        self._kept[ref] = kept

    def _ended(self, ref: SecretRef, task: asyncio.Task[Secret]) -> None:
        self._flights.pop(ref, None)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, SecretNotFoundError):
            _bound(self._failed)
            self._failed[ref] = (self._clock.monotonic() + self._caching.pause, failure)
            if ref in self._kept:
                log.warning("the last value of secret %s is used on: %s", ref, failure.message)


def _bound(known: dict[SecretRef, _Kept] | dict[SecretRef, tuple[float, SecretNotFoundError]]) -> None:
    """Make room for one more."""
    while len(known) >= MOST_KEPT:
        del known[next(iter(known))]
