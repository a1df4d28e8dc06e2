"""Lets go of records when their time is over, in slices so small that nobody who writes waits for long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import sqlalchemy as sa

from llmgate.spec import Clock
from llmgate_store.database import Database

from .rows import microseconds
from .tables import attempts, exchange_records, exchanges, feedback, payloads, properties, usage_blocks, usage_tallies

__all__ = ["Retention"]

_SLICE: Final = 500
"""Rows that one transaction takes away."""
_PAUSE: Final = 0.05
"""Seconds between two slices."""
_BESIDE: Final = (exchange_records, attempts, properties, payloads, feedback)


class Retention:
    """Takes away what is older than it may be.

    Args:
        database: Open.
        clock: Which time it is.
        timeout: Seconds that a slice may take.
    """

    def __init__(self, database: Database, clock: Clock, timeout: float) -> None:
        self._database = database
        self._clock = clock
        self._timeout = timeout

    async def records(self, keep: float) -> int:
        """Take away records with all that is kept of them.

        Args:
            keep: Seconds for which they are kept.

        Returns:
            How many were taken away.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        before = microseconds(self._clock.now() - keep)
        old = sa.select(exchanges.c.id).where(exchanges.c.started_at < before).order_by(exchanges.c.started_at)

        async def one(connection: Any) -> int:
            ids = sorted((await connection.execute(old.limit(_SLICE))).scalars())
            if ids:
                for table in _BESIDE:
                    await connection.execute(sa.delete(table).where(table.c.exchange_id.in_(ids)))
                await connection.execute(sa.delete(exchanges).where(exchanges.c.id.in_(ids)))
            return len(ids)

        return await self._all(one)

    async def content(self, keep: float) -> int:
        """Take away content, and leave the records; see ``records``."""
        before = microseconds(self._clock.now() - keep)
        known = payloads.c
        old = sa.select(known.exchange_id).where(known.started_at < before).order_by(known.started_at)

        async def one(connection: Any) -> int:
            ids = list((await connection.execute(old.limit(_SLICE))).scalars())
            if ids:
                await connection.execute(sa.delete(payloads).where(known.exchange_id.in_(sorted(set(ids)))))
            return len(ids)

        return await self._all(one)

    async def usage(self, keep: float) -> int:
        """Take away what records add up to; see ``records``."""
        before = microseconds(self._clock.now() - keep) // 3_600_000_000
        keys = list(usage_tallies.primary_key)
        old = sa.select(*keys).where(usage_tallies.c.starts_at < before).order_by(usage_tallies.c.starts_at)
        gone = sa.delete(usage_tallies).where(*(column == sa.bindparam(f"of_{column.name}") for column in keys))

        async def one(connection: Any) -> int:
            rows = sorted(tuple(row) for row in await connection.execute(old.limit(_SLICE)))
            if rows:
                names = [f"of_{column.name}" for column in keys]
                await connection.execute(gone, [dict(zip(names, row, strict=True)) for row in rows])
            return len(rows)

        gone_days = before * 3600 // 86400
        async with self._database.write(self._timeout) as connection:
            await connection.execute(sa.delete(usage_blocks).where(usage_blocks.c.first_day < gone_days))
        return await self._all(one)

    async def _all(self, one: Callable[[Any], Awaitable[int]]) -> int:
        gone = 0
        while True:
            async with self._database.write(self._timeout) as connection:
                some = await one(connection)
            gone += some
            if some < _SLICE:
                return gone
            await self._clock.sleep(_PAUSE)
