"""The keys of a book in memory, each written once as it travels, and what has changed since a gateway was told."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from llmgate.codecs import jsons
from llmgate.spec import Clock, GatewayError, KeyBook, SharedKey
from llmgate_control_plane.keys import written_key

__all__ = ["Ledger"]

log: Final = logging.getLogger("llmgate.control_plane")

PART: Final = 500
"""Keys in one message."""
_REST: Final = 0.5
"""Seconds after which a book that cannot be read is asked again."""


class Ledger:
    """What gateways are told. It goes on telling what it knows while the book cannot be read, and says since when.

    Args:
        book: Where the keys are.
        clock: Time.
        beat: Seconds between two signs of life.
        tell: Called with each message for every gateway that has been told all keys.
    """

    def __init__(self, book: KeyBook, clock: Clock, beat: float, tell: Callable[[bytes], None]) -> None:
        self._book = book
        self._clock = clock
        self._beat = beat
        self._tell = tell
        self._keys: dict[str, bytes] = {}
        self._epoch = secrets.token_hex(8)
        self._revision = 0
        self._noticed = -1
        self._seen = clock.monotonic()
        self._failing = False

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def age(self) -> float:
        """Seconds since the book was last seen."""
        return max(0.0, self._clock.monotonic() - self._seen) if self._failing else 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the book can be read."""
        return not self._failing

    async def fill(self) -> None:
        """Read the whole book.

        Raises:
            GatewayError: it cannot be read.
        """
        revision: int | None = None
        keys: dict[str, bytes] = {}
        async for page_revision, key in self._pages(None):
            revision = page_revision if revision is None else revision
            if key is not None and key.principal is not None:
                keys[key.id] = jsons.dumps(written_key(key))
        self._keys = keys
        self._revision = revision or 0
        self._note_seen()

    async def follow(self) -> None:
        """Tell changes as they come, and signs of life; it ends when it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._beat):
                    noticed = await self._book.await_change(self._noticed)
            except TimeoutError:
                self._note_seen()
                self._tell(self.beat())
                continue
            except GatewayError as failure:
                await self._note_failing(failure)
                continue
            try:
                await self._catch_up()
            except GatewayError as failure:
                await self._note_failing(failure)
            else:
                self._noticed = noticed

    def snapshot(self) -> Iterator[bytes]:
        """All keys as they are at the first message, each of which is written when it is taken."""
        keys, revision = list(self._keys.values()), self._revision
        count = max(1, -(-len(keys) // PART))
        for part in range(count):
            head = {
                "epoch": self._epoch,
                "revision": revision,
                "part": part,
                "last": part == count - 1,
                "beat": self._beat,
                "age": self.age,
            }
            yield _message("Snapshot", head, keys[part * PART : (part + 1) * PART])

    def beat(self) -> bytes:
        """A sign of life."""
        return _message("Beat", {"epoch": self._epoch, "revision": self._revision, "age": self.age})

    async def _catch_up(self) -> None:
        """Tell what has changed. The book may be further by now than was noticed, or know no more than was told."""
        before, reached = self._revision, self._revision
        changed: dict[str, bytes] = {}
        withdrawn: set[str] = set()
        async for reached, key in self._pages(before):  # noqa: B007 - the same for each
            if key is None:
                continue
            changed.pop(key.id, None)
            withdrawn.discard(key.id)
            if key.principal is None:
                withdrawn.add(key.id)
            else:
                changed[key.id] = jsons.dumps(written_key(key))
        self._note_seen()
        if reached < before:
            await self._begin_anew(before, reached)
        elif reached > before:
            for key_id in withdrawn:
                self._keys.pop(key_id, None)
            self._keys.update(changed)
            self._revision = reached
            head = {"epoch": self._epoch, "from": before, "to": reached, "withdrawn": sorted(withdrawn)}
            self._tell(_message("Delta", head, list(changed.values())))

    async def _begin_anew(self, before: int, reached: int) -> None:
        """Tell everything again: the book is another one, restored from a copy perhaps, and nothing builds on it."""
        log.warning("the keys have gone back from revision %d to %d: all are told anew", before, reached)
        await self.fill()
        self._epoch = secrets.token_hex(8)
        for message in self.snapshot():
            self._tell(message)

    async def _pages(self, after: int | None) -> AsyncIterator[tuple[int, SharedKey | None]]:
        """Every key of every page with the revision of the first page, which is there even where no key is."""
        page = await self._book.read_keys(after)
        revision = page.revision
        yield revision, None
        while True:
            for key in page.keys:
                yield revision, key
            if page.cursor is None:
                return
            page = await self._book.read_keys(after, page.cursor)

    def _note_seen(self) -> None:
        if self._failing:
            log.warning("the keys can be read again")
        self._seen, self._failing = self._clock.monotonic(), False

    async def _note_failing(self, failure: GatewayError) -> None:
        if not self._failing:
            log.warning("the keys cannot be read, gateways are told so and keep what they know: %s", failure.message)
        self._failing = True
        self._tell(self.beat())
        await self._clock.sleep(_REST)


def _message(name: str, head: dict[str, object], keys: list[bytes] | None = None) -> bytes:
    """A message, its keys written already."""
    text = jsons.dumps(head)
    if keys is not None:
        text = text[:-1] + b',"keys":[' + b",".join(keys) + b"]}"
    return b'{"_type":"Update","%s":%s}' % (name.encode(), text)
