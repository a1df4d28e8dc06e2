"""The auth provider ``issued-keys``: who has the key that is presented."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Final

from llmgate.spec import (
    AuthenticationError,
    AuthProvider,
    Clock,
    Credentials,
    GatewayError,
    KeyPage,
    Peppers,
    Principal,
    StageContext,
)
from llmgate_store.config import IssuedKeysConfig
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.watch import Watch

from .grant import ISSUER
from .memory import KeyMemory, Remembered
from .text import KeyText, read_key

if TYPE_CHECKING:
    from llmgate_store.database import Database

    from .book import KeyBook

__all__ = ["IssuedKeys"]

_WAITING: Final = 10
"""Callers that may wait for each question that may be asked at once."""
_TRIES: Final = 3
"""Questions asked again because the key was changed while the answer was under way."""


class IssuedKeys(AuthProvider[IssuedKeysConfig]):
    """Knows callers by the keys that ``llmgate keys create`` has made.

    A token of another shape is left to the next auth provider. One of the right shape is judged: its checksum, then
    what this process remembers of its public part, then the database. Whatever is wrong with it, the caller is told the
    same, after one HMAC and one look-up; the reason is in the record.
    """

    name = ISSUER
    config_class = IssuedKeysConfig

    def __init__(self, config: IssuedKeysConfig) -> None:
        super().__init__(config)
        self._memory = KeyMemory(config.max_cached, config.max_unknown)
        self._id = self.name
        self._clock: Clock | None = None
        self._database: Database | None = None
        self._book: KeyBook | None = None
        self._peppers: Peppers | None = None
        self._watch: Watch | None = None
        self._asked: dict[str, asyncio.Future[Remembered]] = {}
        self._turns = asyncio.Semaphore(config.max_lookups)
        self._looks = asyncio.Event()
        self._revision = -1
        self._looked = -math.inf
        self._written = -math.inf
        self._down = False

    async def open(self, context: StageContext) -> None:
        """Connect to the database, and begin to notice changes.

        Raises:
            SecretNotFoundError: there is no pepper.
            ConfigError: the pepper or the database's address cannot be used.
            StoreUnavailableError: the database cannot be reached.
            PluginError: its tables are of another version.
        """
        # Late: SQLAlchemy takes a second, which a configuration that is only checked must not pay for.
        from llmgate_store.database import Database

        from .book import KeyBook

        config = self.config
        self._id = context.id
        self._peppers = await Peppers.fetch((config.pepper, *config.former_peppers), context)
        state = None if config.state is None else context.state(config.state)
        self._database = Database(config.database, context)
        await self._database.open()
        self._book = KeyBook(self._database, context.clock)
        self._revision = await self._book.revision()
        self._clock = context.clock
        self._looked = self._written = context.clock.monotonic()
        self._watch = Watch(self._look, context.id, context.clock, config.poll, state)
        self._watch.start()

    async def aclose(self) -> None:
        """Write when keys were last used, close the database, forget the keys."""
        if self._watch is not None:
            await self._watch.aclose()
        for asked in self._asked.values():
            asked.cancel()
        self._asked.clear()
        if self._book is not None and self._clock is not None:
            with contextlib.suppress(GatewayError):
                await self._book.note_used(self._memory.take_used())
        if self._database is not None:
            await self._database.aclose()
        self._clock = self._database = self._book = self._peppers = self._watch = None
        self._tell_looks()
        self._memory.clear()

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The principal whose key is presented; None when nothing is that has the shape of a key.

        Raises:
            AuthenticationError: a key is presented, and it is unknown, revoked, expired, replaced, or used from where
                it may not be.
            StoreUnavailableError: nobody can say, because the database does not answer.
        """
        clock, peppers = self._clock, self._peppers
        if clock is None or peppers is None:
            raise AuthenticationError(reason=f"{self._id} is not open")
        reason = ""
        for token in credentials.presented():
            key = read_key(token)
            if key is None:
                continue
            known = self._memory.find(key.public_id, clock.monotonic()) or await self._unremembered(key)
            digest = peppers.hash_of(token, known.pepper_id)
            now = clock.now()
            refusal = known.refuse(digest, credentials.client_address, now)
            self._refuse_stale(clock)
            if not refusal:
                known.used_at = now
                return known.principal
            reason = reason or f"key {key.public_id} {refusal}"
        if reason:
            raise AuthenticationError(reason=reason)
        return None

    async def read_keys(self, after: int | None = None, cursor: str | None = None) -> KeyPage:
        """Keys for gateways elsewhere; see ``spec.KeyBook``.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        if self._book is None:
            raise self._unavailable()
        return await self._book.page(after, cursor)

    async def await_change(self, revision: int) -> int:
        """Wait until the keys are at another revision than this.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        while True:
            if self._book is None or self._down:
                raise self._unavailable()
            if self._revision != revision:
                return self._revision
            await self._looks.wait()

    def _refuse_stale(self, clock: Clock) -> None:
        """See that what is remembered may be believed still."""
        if clock.monotonic() - self._looked > self.config.stale_for + 2 * self.config.poll and self._down:
            raise StoreUnavailableError(
                f"{self._id}: the database does not answer, and what is remembered of keys is older than stale-for"
            )

    async def _unremembered(self, key: KeyText) -> Remembered:
        """What the database says of a key; callers who ask for the same at once share one question."""
        if not key.is_whole:
            return Remembered.nobody(math.inf)
        asked = self._asked.get(key.public_id)
        if asked is None:
            if self._down:
                raise self._unavailable()
            if len(self._asked) >= self.config.max_lookups * _WAITING:
                raise StoreUnavailableError(f"{self._id}: too many unknown keys are looked up at once", retry_after=1.0)
            asked = asyncio.ensure_future(self._look_up(key.public_id))
            self._asked[key.public_id] = asked
            asked.add_done_callback(lambda done: self._answered(key.public_id, done))
        return await asyncio.shield(asked)

    def _answered(self, public_id: str, asked: asyncio.Future[Remembered]) -> None:
        self._asked.pop(public_id, None)
        if not asked.cancelled():
            asked.exception()  # whoever asked may have left, and then nobody else looks at it

    async def _look_up(self, public_id: str) -> Remembered:
        book, clock = self._book, self._clock
        if book is None or clock is None:
            raise self._unavailable()
        async with self._turns:
            for _ in range(_TRIES):
                try:
                    seen = await book.look_up(public_id)
                except StoreUnavailableError:
                    self._down = True
                    raise
                if seen.revision >= self._revision:
                    break
        if seen.key is None:
            remembered = Remembered.nobody(clock.monotonic() + self.config.unknown_for)
        else:
            remembered = Remembered.of(seen.key)
        if seen.revision >= self._revision:
            # What was read before a change that has been noticed already would never be forgotten.
            self._memory.keep(public_id, remembered)
        return remembered

    async def _look(self) -> None:
        """Forget the keys that were made or changed since the last look; write now and then when keys were used."""
        book, clock = self._book, self._clock
        if book is None or clock is None:
            return
        now = clock.monotonic()
        try:
            revision = await book.revision()
            if revision != self._revision:
                changed = await book.changed_since(self._revision) if revision > self._revision else None
                if changed is None:
                    self._memory.clear()
                else:
                    self._memory.forget(changed)
                self._revision = revision
            if now - self._written >= self.config.last_used_every:
                self._written = now
                await book.note_used(self._memory.take_used())
        except StoreUnavailableError:
            self._down = True
            self._tell_looks()
            raise
        self._looked, self._down = now, False
        self._tell_looks()

    def _tell_looks(self) -> None:
        """Wake whoever waits for a change."""
        looks, self._looks = self._looks, asyncio.Event()
        looks.set()

    def _unavailable(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"{self._id}: the database does not answer", retry_after=1.0)
