"""The interceptor itself, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs

from llmgate.spec import (
    Clock,
    ExchangeView,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    GatewayTimeoutError,
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
from .wishes import WishBook, Wishes

__all__ = ["Cache", "NotCachedError"]

_OPERATIONS: Final = (
    Operation.CHAT, Operation.TEXT_COMPLETION, Operation.EMBEDDINGS, Operation.MODERATION, Operation.RERANK
)  # fmt: skip
_GRACE: Final = 3600.0
"""Seconds for which an entry is kept past its freshness, where it was fresh that long, for who takes a stale one."""
_RENEWAL: Final = 120.0
"""Seconds after which a renewal that has not ended is taken for lost, so that another may begin."""
_NO_RENEWAL: Final = 5.0
"""Seconds for which no renewal begins after one that has brought nothing to keep."""


_MISSED: Final[Mapping[str, Mapping[str, Any]]] = {
    "headers": MappingProxyType({"helicone-cache": "MISS", "helicone-cache-bucket-idx": 0}),
    "metadata": MappingProxyType({"status": "miss", "bucket": 0}),
    "verdicts": MappingProxyType({"cache": "miss"}),
}
"""What is told of the usual miss, the same every time."""


class NotCachedError(GatewayError):
    """Nothing but a kept answer was wanted, and there is none (504, RFC 9111, 5.2.1.7)."""

    status_code = 504
    default_code = "not_cached"


@attrs.define(eq=False)
class _Renewal:
    """What the exchange that renews an entry is told by the one that has found it stale.

    Args:
        of: The id of that exchange, under which it has taken the place of the one who renews.
        bucket: Which entry it is.
        leads: Whether others wait for it.
        begun: Whether it has come as far as the cache.
        kept: Whether a new one has been kept.
    """

    of: str
    bucket: int
    leads: bool = False
    begun: bool = False
    kept: bool = False


class _Ask:
    """What one exchange wants of the cache, and what has been gathered for it so far."""

    # Every request makes one and leaves most of these as they are, so they are the class's until they change.
    bucket: int = 0
    leads: bool = False
    hit: bool = False
    renewal: _Renewal | None = None
    response: GatewayResponse | None = None
    pieces: list[bytes] | None = None
    size: int = 0

    def __init__(self, key: str, wishes: Wishes, request: GatewayRequest) -> None:
        self.key = key
        self.wishes = wishes
        self.request = request
        self.saves = wishes.saves

    @property
    def place(self) -> Place:
        return self.key, self.bucket


class Cache(Interceptor[CacheConfig]):
    """Keeps whole answers and gives them again to equal requests.

    An answer is kept when it is whole, and neither an error, a refusal nor filtered, and its caller has had all of it.
    It is given again byte for byte, in the wire format in which it was asked for; answers that were streamed are given
    to those who want a stream, whole ones to those who do not.

    It tells the caller by the headers ``helicone-cache``, ``helicone-cache-bucket-idx`` and ``age``, and the record by
    ``cache.status`` (hit, stale, miss or renewal), ``cache.bucket``, ``cache.age`` and ``cache.renews``.
    """

    name = "cache"
    config_class = CacheConfig

    def __init__(self, config: CacheConfig) -> None:
        super().__init__(config)
        directive = read_directives(config.directive)
        self._wishes = WishBook(config, directive)
        self.repeats = bool(directive.revalidate)
        self._flights = Flights()
        self._mark = f"ask {id(self)}"
        """Under which its notes hold what an exchange wants of this instance, as there may be several."""
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
        controls = exchange.controls
        wishes = self._wishes.read(controls)
        if wishes is None:
            return None
        key = request_key(exchange, request, controls, wishes.seed, wishes.ignored, shared=self.config.shared)
        ask = _Ask(key, wishes, request)
        notes = exchange.notes(self.name)
        notes[self._mark] = ask
        if "renewals" in notes:
            renewal: _Renewal | None = notes["renewals"].get(id(self))
            if renewal is not None:
                _renew(notes, ask, renewal)
                return None
        entry = await self._find(exchange, ask) if wishes.reads else None
        if entry is not None:
            return self._hit(notes, ask, entry)
        if wishes.only:
            raise NotCachedError("no answer to this request is kept, and only-if-cached allows no other")
        if not wishes.reads and wishes.buckets > 1:
            ask.bucket = int(self._clock.random() * wishes.buckets)
        if ask.bucket:
            _tell(notes, "MISS", "miss", ask.bucket)
        else:
            notes.update(_MISSED)
        return None

    def on_sent(self, exchange: ExchangeView, data: bytes) -> None:
        """Gather a streamed answer as it goes down, unless it gets too large."""
        ask = self._ask(exchange)
        if ask is None or ask.hit or not ask.saves:
            return
        ask.size += len(data)
        if ask.pieces is None:
            ask.pieces = []
        ask.pieces.append(data)
        if ask.size > self.config.max_entry_size:
            ask.saves = False
            ask.pieces = None

    async def after_response(self, exchange: ExchangeView, response: GatewayResponse) -> GatewayResponse:
        """Remember a whole answer."""
        ask: _Ask | None = exchange.notes(self.name).get(self._mark)
        if ask is not None and ask.saves and not ask.hit and len(response.body) <= self.config.max_entry_size:
            ask.response = response
        return response

    async def on_settle(self, exchange: ExchangeView) -> None:
        """Keep the answer if it is one to keep, and let those go on who wait for it."""
        ask: _Ask | None = exchange.notes(self.name).pop(self._mark, None)
        if ask is None or not (ask.saves or ask.leads) or ask.hit:
            return
        entry = None
        try:
            entry = self._made(exchange, ask)
            if ask.leads:
                # Who had less time than others says nothing of the answer that they wait for, like one who leaves.
                left = exchange.disconnected or isinstance(exchange.error, GatewayTimeoutError)
                self._flights.land(ask.place, Landing(entry, left=left))
            if entry is not None and self._shelf is not None:
                await self._shelf.keep(ask.bucket, entry, self._kept_for(ask.wishes))
                if ask.renewal is not None:
                    ask.renewal.kept = True
        finally:
            if ask.leads:
                self._flights.close(ask.place)

    def _ask(self, exchange: ExchangeView) -> _Ask | None:
        found: _Ask | None = exchange.notes(self.name).get(self._mark)
        return found

    async def _find(self, exchange: ExchangeView, ask: _Ask) -> Entry | None:
        """A kept answer, or one that is on its way; with None this request goes for one itself."""
        shelf = self._shelf
        assert shelf is not None, "an interceptor is open while it is asked"
        if ask.wishes.buckets == 1:  # the usual way, without what the others need
            flights = self._flights
            before, place = flights.closed, (ask.key, 0)
            entry = await shelf.find_one(ask.key)
            if entry is not None and self._is_usable(entry, ask.wishes):
                return entry
            fetches = entry is None or not self.repeats
            unseen = flights.closed == before or not flights.closed_since(place, before)
            if fetches and unseen and place not in flights.under_way:
                self._lead(ask, place)
                return None
        end = self._clock.monotonic() + self.config.wait
        while True:
            before = self._flights.closed
            found = await shelf.find(ask.key, ask.wishes.buckets)
            missing = [bucket for bucket, entry in enumerate(found) if not self._is_usable(entry, ask.wishes)]
            if not missing:
                ask.bucket = int(self._clock.random() * len(found))
                return found[ask.bucket]
            ask.bucket = next((one for one in missing if (ask.key, one) not in self._flights), missing[0])
            if ask.place not in self._flights:
                if self._flights.closed_since(ask.place, before) and self._clock.monotonic() < end:
                    continue  # its answer came to the store behind this look at it
                old = self._stale(found, [ask.bucket], ask.wishes)
                if old is not None and (ask.wishes.only or (ask.saves and exchange.can_repeat)):
                    return old if ask.wishes.only else await self._old(exchange, ask, old)
                self._lead(ask, ask.place)
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

    async def _old(self, exchange: ExchangeView, ask: _Ask, old: Entry) -> Entry:
        """Give a stale answer at once, and have it renewed unless somebody does that already, here or elsewhere."""
        shelf = self._shelf
        assert shelf is not None, "an interceptor is open while it is asked"
        place, holder = ask.place, exchange.id
        if not await shelf.take(*place, holder, _RENEWAL):
            return old
        found = await shelf.find_one(*place)
        if found is not None and self._is_usable(found, ask.wishes):
            await shelf.leave(*place, holder)  # one who held the place before has renewed it meanwhile
            return found
        renewal = _Renewal(exchange.id, ask.bucket)

        async def done() -> None:
            if renewal.leads and not renewal.begun:
                self._flights.close(place)
            if renewal.kept:
                await shelf.leave(*place, holder)
            else:
                await shelf.take(*place, holder, _NO_RENEWAL)

        if not exchange.repeat(self.name, {"renewals": {id(self): renewal}}, done):
            await shelf.leave(*place, holder)
        elif place not in self._flights and self.config.wait > 0:
            renewal.leads = True
            self._flights.start(place)
        return old

    def _lead(self, ask: _Ask, place: Place) -> None:
        if ask.saves and self.config.wait > 0 and not ask.wishes.only:
            ask.leads = True
            self._flights.start(place)

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
            body=b"".join(ask.pieces or ()) if response is None else response.body,
        )
        return entry if is_keepable(entry) else None

    def _hit(self, notes: dict[str, Any], ask: _Ask, entry: Entry) -> GatewayResponse:
        ask.hit = True
        age = entry.age(self._clock.now())
        _tell(notes, "HIT", "hit" if age < entry.lifetime else "stale", ask.bucket)
        notes["headers"]["age"] = notes["metadata"]["age"] = int(age)
        if entry.served_by:
            notes["headers"]["llmgate-model"] = notes["metadata"]["model"] = entry.served_by
        return entry.response()


def _renew(notes: dict[str, Any], ask: _Ask, renewal: _Renewal) -> None:
    """Go for the answer that another exchange has found stale; those who take no stale one wait for it."""
    renewal.begun = True
    ask.renewal, ask.bucket, ask.leads = renewal, renewal.bucket, renewal.leads
    _tell(notes, "MISS", "renewal", ask.bucket)
    notes["metadata"]["renews"] = renewal.of


def _tell(notes: dict[str, Any], word: str, status: str, bucket: int) -> None:
    notes["headers"] = {"helicone-cache": word, "helicone-cache-bucket-idx": bucket}
    notes["metadata"] = {"status": status, "bucket": bucket}
    notes["verdicts"] = {"cache": status}
