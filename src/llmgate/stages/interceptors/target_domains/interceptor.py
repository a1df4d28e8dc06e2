"""The interceptor itself: lets requests to approved domains pass, counts those to others for each caller."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from llmgate.catalogue import DomainPatterns
from llmgate.spec import (
    Clock,
    ConfigError,
    DomainBook,
    DomainStanding,
    ExchangeView,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    PermissionDeniedError,
    Rate,
    RateLimitError,
    StageContext,
    StateStore,
    SystemClock,
    Target,
    standings,
)
from llmgate.stages.interceptors.rate_limit.interceptor import RateLimitUnknownError
from llmgate.stages.interceptors.rate_limit.segments import caller_of

from .config import TargetDomainsConfig

__all__ = ["TargetDomains"]

log = logging.getLogger("llmgate.targets")

DAY: Final = 86400
LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the book: what the operator decides holds within twice as many."""
STORE_SECONDS: Final = 0.5
"""Seconds that the store may take to count."""


class TargetDomains(Interceptor[TargetDomainsConfig]):
    """Rules where callers may send requests themselves.

    A domain is approved where the catalogue, the configuration or the book says so, and nobody has denied it there.
    Requests to others are refused, or limited for each caller, all of those domains together. Its note on an exchange
    is ``metadata``: the target, what the caller calls it, and what holds for its domain.
    """

    name = "target-domains"
    config_class = TargetDomainsConfig

    def __init__(self, config: TargetDomainsConfig) -> None:
        super().__init__(config)
        self.strict_state = config.unapproved == "limit"
        self._patterns = DomainPatterns(config.domains)
        self._clock: Clock = SystemClock()
        self._store: StateStore[Any] | None = None
        self._share = 1
        self._book: DomainBook[Any] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._seen: object = None
        self._failed = False
        self._standings: Mapping[str, DomainStanding] = {}

    async def open(self, context: StageContext) -> None:
        """Find the store, and read the book.

        Raises:
            ConfigError: there is no such store, or a limit cannot be divided.
            GatewayError: the book cannot be read.
        """
        self._store, self._clock = context.state(self.config.state), context.clock
        self._share = 1 if self._store.shared else context.workers
        if self.config.per_day < self._share:
            raise ConfigError(
                f"{context.id}: per-day: {self.config.per_day} cannot be divided among {self._share} workers"
            )
        self._book = context.domains()
        if self._book is not None:
            await self._look(self._book)
            self._watching = asyncio.create_task(self._watch(self._book), name=f"{context.id}: watch")

    async def aclose(self) -> None:
        """Let go of the store and of the book."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        self._store = self._book = None
        self._seen = None

    async def before_request(
        self,
        exchange: ExchangeView,
        request: GatewayRequest,  # noqa: ARG002 - the interface
    ) -> GatewayRequest | GatewayResponse | None:
        """Let a request pass, count it, or refuse it.

        Raises:
            PermissionDeniedError: its domain is denied, or not approved where that is asked for.
            RateLimitError: its caller has asked for too much at domains that are not approved.
            RateLimitUnknownError: the store does not answer.
        """
        target = exchange.target
        if target is None:
            return None
        standing = self._standing(target.host)
        approved = standing.approved if standing is not None else self._is_known(target)
        exchange.notes(self.name)["metadata"] = {
            "target": target.origin,
            "provider": target.label or target.row or target.host,
            "domain": "approved" if approved else "unapproved",
        }
        if standing is not None and standing.denied:
            raise PermissionDeniedError(f"the operator has denied the domain {target.host!r}", code="domain_denied")
        if approved:
            return None
        if self.config.unapproved == "refuse":
            raise PermissionDeniedError(
                f"the domain {target.host!r} is not approved: have the operator approve it, see `llmgate domains`",
                code="domain_not_approved",
            )
        await self._count(exchange, target)
        return None

    def _is_known(self, target: Target) -> bool:
        return bool(target.row) or self._patterns.fit(target.host)

    def _standing(self, host: str) -> DomainStanding | None:
        """What has been decided of a host, as the book was read last."""
        found = self._standings.get(host)
        return found if found is not None and (found.approved or found.denied) else None

    async def _look(self, book: DomainBook[Any]) -> None:
        """Read the book when it is another than it was."""
        revision = await book.revision()
        if revision != self._seen:
            self._standings = standings(await book.read())
            self._seen = revision

    async def _watch(self, book: DomainBook[Any]) -> None:
        """Look at the book now and then; what it said before holds while it cannot be read."""
        while True:
            await self._clock.sleep(LOOK_EVERY)
            try:
                await self._look(book)
            except GatewayError as failure:
                if not self._failed:
                    log.error("%s: what the book of domains said before holds", failure)  # noqa: TRY400 - it says it all
                self._failed = True
            except Exception:
                if not self._failed:
                    log.exception("the book of domains fails: what it said before holds")
                self._failed = True
            else:
                if self._failed:
                    log.warning("the book of domains can be read again")
                self._failed = False

    async def _count(self, exchange: ExchangeView, target: Target) -> None:
        """Charge a request to both limits.

        Raises:
            RateLimitError: one of them is reached.
            RateLimitUnknownError: nothing can be counted, and the operator wants that to refuse.
        """
        try:
            async with asyncio.timeout(STORE_SECONDS):
                wait = await self._charged(exchange)
        except Exception as failure:
            log.exception("state store %r fails", self.config.state)
            if self.config.on_failure == "allow":
                return
            raise RateLimitUnknownError(
                "the gateway cannot count requests now: try again later", retry_after=1.0
            ) from failure
        if wait is not None:
            config = self.config
            raise RateLimitError(
                f"the domain {target.host!r} is not approved: {config.per_second} requests in a second and "
                f"{config.per_day} in a day go to such domains; slow down, or have the operator approve it",
                retry_after=wait,
            )

    async def _charged(self, exchange: ExchangeView) -> float | None:
        """Seconds until a request is let through; None where this one is."""
        assert self._store is not None, "a stage is opened before it serves"
        store = self._store
        tenant = exchange.principal.attributes.get("tenant")
        who = ("tenant", str(tenant)) if tenant else tuple(caller_of(exchange))
        key = f"target-domains:{hashlib.sha256(repr(who).encode()).hexdigest()[:32]}"
        once = exchange.id if store.shared else None
        rate = Rate(self.config.per_second, 1.0 * self._share)
        decision = await store.acquire(f"{key}:second", rate, once=once)
        if not decision.allowed:
            return decision.retry_after
        now = self._clock.now()
        day = int(now // DAY)
        count = await store.add(f"{key}:day:{day}", ttl=2 * DAY, once=once)
        return None if count <= self.config.per_day // self._share else (day + 1) * DAY - now
