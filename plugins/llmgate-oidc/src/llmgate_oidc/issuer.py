"""An issuer's keys: found by discovery, kept, fetched again in time and when a token names one that is not known.

Source: OpenID Connect Discovery 1.0 section 4; RFC 8414 section 3.3 (the issuer must be the one that was asked for).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from llmgate.codecs import jsons
from llmgate.spec import ProviderError, ProviderRequest, StageContext, Timeouts

from .config import IssuerConfig, OidcConfig, address_refusal
from .errors import IssuerUnavailableError
from .keys import UnreadableKeysError, VerifyingKey, read_keys

__all__ = ["Issuer"]

log = logging.getLogger(__name__)

_MOST_BYTES: Final = 1024 * 1024
_PAUSE: Final = 5.0
"""Seconds for which an issuer that has not answered is not asked again by requests."""
_MOST_TRIED: Final = 8
"""Keys that are tried for a token that does not name its own."""


class Issuer:
    """One issuer.

    Args:
        config: What is known of it.
        timing: How long its keys are kept.
        context: Time, and HTTP out.
        authorities: Certificates (PEM) that its own is checked against; None for those of the system.
    """

    def __init__(
        self, config: IssuerConfig, timing: OidcConfig, context: StageContext, authorities: str | None
    ) -> None:
        self.config = config
        self.version = 0
        """Rises when a key is withdrawn or replaced, so that what was found by it is looked at anew."""
        self._timing = timing
        self._context = context
        self._authorities = authorities
        self._keys: tuple[VerifyingKey, ...] = ()
        self._end = -math.inf
        self._next = -math.inf
        self._asked_for_unknown = -math.inf
        self._jwks_uri = config.jwks_uri
        self._flight: asyncio.Task[bool] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._failed = False

    def start(self) -> None:
        """Begin to fetch the keys now and then, the first time at once."""
        self._watch = asyncio.create_task(self._now_and_then(), name=f"{self._context.id}: keys of an issuer")

    async def aclose(self) -> None:
        """Stop, and forget the keys. Idempotent."""
        tasks = [task for task in (self._watch, self._flight) if task is not None]
        self._watch = self._flight = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keys, self._end = (), -math.inf

    @property
    def is_known(self) -> bool:
        """Whether its keys are known, and not too old."""
        return self._context.clock.monotonic() < self._end

    async def keys(self, kid: str | None, algorithm: str) -> Sequence[VerifyingKey]:
        """The keys that a token may be signed with.

        A key that is not known has the issuer asked once for all who wait, unless it has just been asked for another.

        Args:
            kid: What the token calls its key; None where it does not name it.
            algorithm: How it claims to be signed.

        Raises:
            IssuerUnavailableError: no key of the issuer is known.
        """
        clock = self._context.clock
        if not self.is_known:
            if clock.monotonic() >= self._next or self._flight is not None:
                await self._fetched()
            if not self.is_known:
                raise IssuerUnavailableError(
                    "the issuer of the token does not answer: try again later", retry_after=_PAUSE
                )
        found = self._fitting(kid, algorithm)
        # Twice: a fetch that is under way already may have been answered before the key was there.
        for _ in range(2):
            if found or not await self.asked_again():
                break
            found = self._fitting(kid, algorithm)
        return found

    async def asked_again(self) -> bool:
        """Have the keys fetched for a token that fits none; whether that has been done."""
        now = self._context.clock.monotonic()
        if self._flight is None:
            if now - self._asked_for_unknown < self._timing.cooldown or (self._failed and now < self._next):
                return False
            self._asked_for_unknown = now
        return await self._fetched()

    def _fitting(self, kid: str | None, algorithm: str) -> Sequence[VerifyingKey]:
        fitting = (key for key in self._keys if algorithm in key.algorithms)
        if kid is None:
            return tuple(fitting)[:_MOST_TRIED]
        return tuple(key for key in fitting if key.kid == kid)[:_MOST_TRIED]

    async def _now_and_then(self) -> None:
        clock = self._context.clock
        pause = _PAUSE
        while True:
            if await self._fetched(rediscover=True):
                pause = _PAUSE
                # Scattered, so that many gateways do not ask all at once.
                await clock.sleep(self._timing.refresh * (0.9 + 0.2 * clock.random()))
            else:
                await clock.sleep(min(pause, self._timing.refresh))
                pause = min(pause * 2, 60.0)

    async def _fetched(self, *, rediscover: bool = False) -> bool:
        """Fetch the keys, once for all who ask at the same time; whether that has worked."""
        flight = self._flight
        if flight is None:
            flight = asyncio.create_task(self._fetch(rediscover), name=f"{self._context.id}: keys")
            self._flight = flight
            flight.add_done_callback(self._landed)
        # Shielded: who leaves must not take the keys from the others who wait for them.
        await asyncio.wait({flight})
        return not flight.cancelled() and flight.result()

    def _landed(self, flight: asyncio.Task[bool]) -> None:
        if self._flight is flight:
            self._flight = None

    async def _fetch(self, rediscover: bool) -> bool:
        config, clock = self.config, self._context.clock
        try:
            async with asyncio.timeout(self._timing.timeout):
                if self._jwks_uri is None or (rediscover and config.jwks_uri is None):
                    self._jwks_uri = await self._discovered()
                keys = read_keys(await self._get(self._jwks_uri))
        except (UnreadableKeysError, ProviderError, TimeoutError) as error:
            self._next = clock.monotonic() + _PAUSE
            self._jwks_uri = config.jwks_uri
            self._tell(error)
            return False
        except Exception:
            log.exception("%s: the keys of %s could not be read", self._context.id, config.issuer)
            self._next = clock.monotonic() + _PAUSE
            self._failed = True
            return False
        self._keep(keys)
        return True

    def _keep(self, keys: tuple[VerifyingKey, ...]) -> None:
        if self._failed:
            log.warning("%s: the keys of %s are fetched again", self._context.id, self.config.issuer)
        if not keys:
            log.warning("%s: %s has no key that tokens can be checked with", self._context.id, self.config.issuer)
        if not {key.mark for key in self._keys} <= {key.mark for key in keys}:
            self.version += 1
        self._failed = False
        self._keys = keys
        self._end = self._context.clock.monotonic() + self._timing.refresh + self._timing.stale

    def _tell(self, error: Exception) -> None:
        """Say once that an issuer does not answer, and what that means."""
        if not self._failed:
            reason = str(error) or "it does not answer in time"
            meanwhile = "those that are known are used on" if self.is_known else "its tokens are answered with 503"
            log.warning("%s: no keys of %s: %s; %s", self._context.id, self.config.issuer, reason, meanwhile)
        self._failed = True

    async def _discovered(self) -> str:
        """Where the issuer says that its keys are."""
        body = await self._get(self.config.issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            said = jsons.top(body)
        except jsons.JSONError as error:
            raise UnreadableKeysError(f"its configuration cannot be read: {error}") from None
        if said.get("issuer") != self.config.issuer:
            raise UnreadableKeysError(
                "its configuration names another issuer: write it in `issuer` as it stands there, a slash at its end "
                "included"
            )
        where = said.get("jwks_uri")
        if not isinstance(where, str) or address_refusal(where):
            raise UnreadableKeysError("its configuration names no address of keys that may be asked (jwks_uri)")
        return where

    async def _get(self, url: str) -> bytes:
        timeout = self._timing.timeout
        parts = urlsplit(url)
        answer = await self._context.transport.send(
            ProviderRequest(
                method="GET",
                url=url,
                headers={"accept": "application/json"},
                provider_name="the issuer",
                origin=f"{parts.scheme}://{parts.netloc}",
                pool=f"oidc {parts.scheme}://{parts.netloc}",
                timeouts=Timeouts(connect=timeout, first_byte=timeout, idle=timeout),
                max_body_bytes=_MOST_BYTES,
                authorities=self._authorities,
            )
        )
        if answer.status != 200:
            raise UnreadableKeysError(f"it answers {answer.status}")
        return answer.body
