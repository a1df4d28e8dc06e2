"""The interceptor itself, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from llmgate.spec import (
    Clock,
    ExchangeView,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Interceptor,
    Operation,
    Outcome,
    StageContext,
    SystemClock,
)

from .config import CacheConfig
from .directives import read_directives
from .entries import Entry, is_keepable
from .flights import Flights, Landing, Place
from .keys import request_key
from .shelf import Shelf
from .wishes import Wishes, read_wishes

__all__ = ["Cache", "NotCachedError"]

_OPERATIONS: Final = frozenset(
    {Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS, Operation.MODERATION, Operation.RERANK}
)
_GRACE: Final = 3600.0
"""Seconds for which an entry is kept past its freshness, where it was fresh that long, for who takes a stale one."""


class NotCachedError(GatewayError):
    """Nothing but a kept answer was wanted, and there is none (504, RFC 9111, 5.2.1.7)."""

    status_code = 504
    default_code = "not_cached"


@attrs.define(eq=False)
class _Ask:
    """What one exchange wants of the cache, and what has been gathered for it so far."""

    key: str
    wishes: Wishes
    request: GatewayRequest
    bucket: int = 0
    leads: bool = False
    hit: bool = False
    saves: bool = True
    response: GatewayResponse | None = None
    pieces: list[bytes] = attrs.field(factory=list)
    size: int = 0

    @property
    def place(self) -> Place:
        return self.key, self.bucket


class Cache(Interceptor[CacheConfig]):
    """Keeps whole answers and gives them again to equal requests.

    An answer is kept when it is whole, and neither an error, a refusal nor filtered, and its caller has had all of it.
    It is given again byte for byte, in the wire format in which it was asked for; answers that were streamed are given
    to those who want a stream, whole ones to those who do not.

    It tells the caller by the headers ``helicone-cache``, ``helicone-cache-bucket-idx`` and ``age``, and the record by
    ``cache.status`` (hit, stale or miss), ``cache.bucket`` and ``cache.age``.
    """

    name = "cache"
    config_class = CacheConfig

    def __init__(self, config: CacheConfig) -> None:
        super().__init__(config)
        self._directive = read_directives(config.directive)
        self._flights = Flights()
        self._clock: Clock = SystemClock()
        self._shelf: Shelf | None = None

    async def open(self, context: StageContext) -> None:
        """Find the store.

        Raises:
            ConfigError: there is none of that name.
        """
        config = self.config
        self._clock, store = context.clock, context.state(config.state)
        self.settles_at_once = store.instant
        self._shelf = Shelf(
            store,
            context.clock,
            name=context.id,
            timeout=config.store_timeout,
            pause=config.store_pause,
        )

    async def aclose(self) -> None:
        """Let go of whoever waits; the store keeps what it has."""
        self._flights.clear()
        self._shelf = None

    async def before_request(
        self, exchange: ExchangeView, request: GatewayRequest
    ) -> GatewayRequest | GatewayResponse | None:
        """Answer from what has been kept, or remember what to keep.

        Raises:
            InvalidRequestError: the caller's headers cannot be understood.
            NotCachedError: nothing but a kept answer was wanted, and there is none.
        """
        if request.operation not in _OPERATIONS or request.relay or request.upload or request.bound_by:
            return None
        wishes = read_wishes(self.config, self._directive, exchange)
        if wishes is None:
            return None
        key = request_key(
            exchange, request, shared=self.config.shared, seed=wishes.seed, ignored=wishes.ignored
        )  # fmt: skip
        ask = _Ask(key, wishes, request, saves=wishes.saves)
        exchange.notes(self.name).setdefault("asks", {})[id(self)] = ask
        entry = await self._find(ask) if wishes.reads else None
        if entry is not None:
            return self._hit(exchange, ask, entry)
        if wishes.only:
            raise NotCachedError("no answer to this request is kept, and only-if-cached allows no other")
        if not wishes.reads and wishes.buckets > 1:
            ask.bucket = int(self._clock.random() * wishes.buckets)
        self._tell(exchange, "MISS", "miss", ask.bucket)
        return None

    def on_sent(self, exchange: ExchangeView, data: bytes) -> None:
        """Gather a streamed answer as it goes down, unless it gets too large."""
        ask = self._ask(exchange)
        if ask is None or ask.hit or not ask.saves:
            return
        ask.size += len(data)
        ask.pieces.append(data)
        if ask.size > self.config.max_entry_size:
            ask.saves = False
            ask.pieces.clear()

    async def after_response(self, exchange: ExchangeView, response: GatewayResponse) -> GatewayResponse:
        """Remember a whole answer."""
        ask = self._ask(exchange)
        if ask is not None and ask.saves and not ask.hit and len(response.body) <= self.config.max_entry_size:
            ask.response = response
        return response

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Keep the answer if it is one to keep, and let those go on who wait for it."""
        notes = exchange.notes(self.name)
        asks: dict[int, _Ask] = notes.get("asks", {})
        ask = asks.pop(id(self), None)
        if not asks:
            notes.pop("asks", None)
        if ask is None or ask.hit:
            return
        entry = None
        try:
            entry = self._made(exchange, ask)
            if ask.leads:
                self._flights.land(ask.place, Landing(entry, left=exchange.disconnected))
            if entry is not None and self._shelf is not None:
                await self._shelf.keep(ask.bucket, entry, self._kept_for(ask.wishes))
        finally:
            if ask.leads:
                self._flights.close(ask.place)

    def _ask(self, exchange: ExchangeView) -> _Ask | None:
        found: _Ask | None = exchange.notes(self.name).get("asks", {}).get(id(self))
        return found

    async def _find(self, ask: _Ask) -> Entry | None:
        """A kept answer, or one that is on its way; with None this request goes for one itself."""
        end = self._clock.monotonic() + self.config.wait
        while True:
            assert self._shelf is not None, "an interceptor is open while it is asked"
            before = self._flights.closed
            found = await self._shelf.find(ask.key, ask.wishes.buckets)
            missing = [bucket for bucket, entry in enumerate(found) if not self._is_usable(entry, ask.wishes)]
            if not missing:
                ask.bucket = int(self._clock.random() * len(found))
                return found[ask.bucket]
            ask.bucket = next((one for one in missing if (ask.key, one) not in self._flights), missing[0])
            if ask.place not in self._flights:
                if self._flights.closed_since(ask.place, before) and self._clock.monotonic() < end:
                    continue  # its answer came to the store behind this look at it
                self._lead(ask)
                return None
            stale = self._stale(found, missing, ask.wishes)
            if stale is not None:
                ask.bucket = found.index(stale)
                return stale
            landing = await self._flights.landing(ask.place, max(0.0, end - self._clock.monotonic()))
            if landing is not None and self._is_usable(landing.entry, ask.wishes):
                return landing.entry
            if landing is None or not landing.left:
                return None

    def _lead(self, ask: _Ask) -> None:
        if self.config.wait > 0 and ask.saves and not ask.wishes.only:
            ask.leads = True
            self._flights.start(ask.place)

    def _is_usable(self, entry: Entry | None, wishes: Wishes) -> bool:
        if entry is None:
            return False
        age = entry.age(self._clock.now())
        fresh_for = entry.lifetime if wishes.oldest is None else min(entry.lifetime, wishes.oldest)
        return age + wishes.margin < fresh_for or (wishes.stale > 0 and age < fresh_for + wishes.stale)

    def _stale(self, found: Sequence[Entry | None], missing: Sequence[int], wishes: Wishes) -> Entry | None:
        """One that is given while another request fetches it anew."""
        if wishes.oldest is not None:
            return None
        now = self._clock.now()
        for bucket in missing:
            entry = found[bucket]
            if entry is not None and entry.lifetime <= entry.age(now) < entry.lifetime + wishes.revalidate:
                return entry
        return None

    def _kept_for(self, wishes: Wishes) -> float:
        past = max(min(wishes.lifetime, _GRACE), wishes.revalidate, min(wishes.stale, self.config.longest_age))
        return min(wishes.lifetime + past, self.config.longest_age)

    def _made(self, exchange: ExchangeView, ask: _Ask) -> Entry | None:
        """The entry that the exchange leaves; None where there is nothing to keep."""
        if not ask.saves or exchange.error is not None or exchange.disconnected or exchange.status != 200:
            return None
        response = ask.response
        outcome: Outcome = exchange.outcome if response is None else response.outcome
        if response is None and not (ask.pieces and outcome.complete):
            return None
        attempts = exchange.attempts
        entry = Entry(
            key=ask.key,
            format=ask.request.format if response is None else response.format,
            streamed=response is None,
            media_type="" if response is None else response.media_type,
            stored_at=self._clock.now(),
            lifetime=ask.wishes.lifetime,
            served_by=attempts[-1].deployment.model if attempts else "",
            outcome=attrs.evolve(outcome),
            body=b"".join(ask.pieces) if response is None else response.body,
        )
        return entry if is_keepable(entry) else None

    def _hit(self, exchange: ExchangeView, ask: _Ask, entry: Entry) -> GatewayResponse:
        ask.hit = True
        age = entry.age(self._clock.now())
        self._tell(exchange, "HIT", "hit" if age < entry.lifetime else "stale", ask.bucket)
        notes = exchange.notes(self.name)
        notes["headers"]["age"] = notes["metadata"]["age"] = int(age)
        if entry.served_by:
            notes["headers"]["llmgate-model"] = notes["metadata"]["model"] = entry.served_by
        return entry.response()

    def _tell(self, exchange: ExchangeView, word: str, status: str, bucket: int) -> None:
        notes: dict[str, Any] = exchange.notes(self.name)
        notes["headers"] = {"helicone-cache": word, "helicone-cache-bucket-idx": bucket}
        notes["metadata"] = {"status": status, "bucket": bucket}
