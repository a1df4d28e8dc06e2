"""Writes records and what they add up to in one transaction, each record once however often it is given."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from llmgate.spec import SUMS, Clock, Record
from llmgate_store.database import Database
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.tables import metadata

from .packing import pack, unpack_into
from .rows import Row, Rows, rows_of, tallies_of
from .tables import attempts, exchange_records, exchanges, payloads, properties, usage_tallies

__all__ = ["RecordBook", "RecordsRefusedError", "upsert"]

_TABLES: Final = (exchanges, exchange_records, attempts, properties, payloads)
_TRIES: Final = 6
"""How often a transaction is begun that others got in the way of."""
_PAUSE: Final = 0.05
"""Seconds before the second try; it doubles."""
_CONFLICTS: Final = frozenset({"40001", "40P01", "55P03", 1205, 1213, "SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"})
"""What databases say when two transactions are in each other's way."""
_KEYS: Final = tuple(column.name for column in usage_tallies.primary_key)
_HISTOGRAMS: Final = ("durations", "first_contents")
_AT_ONCE: Final = 8
"""Records that are made into rows without a thread."""
_LONG: Final = 500
"""Characters of a histogram that is merged."""
_MOST_VALUES: Final = 400
"""Values that one question names."""
_MOST_SQLITE_TAKES: Final = 999
"""Values of one statement that every version of SQLite takes."""


class RecordsRefusedError(Exception):
    """The database does not take what some records have in them; the next time it will not either."""


class _ConflictError(Exception):
    """Another transaction got in the way.

    Args:
        over_a_key: Whether what was to be inserted is there.
    """

    def __init__(self, over_a_key: bool) -> None:
        super().__init__()
        self.over_a_key = over_a_key


class RecordBook:
    """The records in a database, as a writer sees them.

    Args:
        database: Open.
        clock: Where pauses are slept.
        timeout: Seconds that a transaction may take.
    """

    def __init__(self, database: Database, clock: Clock, timeout: float) -> None:
        self._database = database
        self._clock = clock
        self._timeout = timeout
        self._statements: dict[str, str] = {}

    async def write(self, records: Sequence[Record]) -> int:
        """Write records, all or none; those that are there already change nothing.

        Args:
            records: No two with the same id.

        Returns:
            How many were new.

        Raises:
            StoreUnavailableError: the database does not answer, or not in time.
            RecordsRefusedError: it does not take one of them.
        """
        batch: _Batch | None = await _prepared(records)
        pause = _PAUSE
        for _ in range(_TRIES - 1):
            try:
                return await self._try(records, batch)
            except _ConflictError as conflict:
                if conflict.over_a_key and batch is not None:
                    batch = None  # some are there: from now on it is asked which, at once
                    continue
                await self._clock.sleep(pause * (0.5 + self._clock.random()))
                pause *= 2
        try:
            return await self._try(records, batch)
        except _ConflictError as always:
            if always.over_a_key:
                raise RecordsRefusedError("two of its rows have one key") from None
            raise StoreUnavailableError("the database is not usable: others are always in the way") from None

    async def _try(self, records: Sequence[Record], batch: _Batch | None) -> int:
        async with self._database.write(self._timeout) as connection:
            try:
                if batch is None:
                    batch = await _prepared(await self._new(connection, records))
                await self._insert(connection, batch)
            except DBAPIError as failure:
                if failure.connection_invalidated:
                    raise
                # Another process has written one of them between the look and the insertion: it is seen next time.
                over_a_key = isinstance(failure, IntegrityError)
                if over_a_key or _code(failure) in _CONFLICTS:
                    raise _ConflictError(over_a_key) from None
                if isinstance(failure, DataError) or _blames_data(failure):
                    raise RecordsRefusedError(type(failure.orig).__name__) from None
                raise
            except (ArithmeticError, TypeError, ValueError) as failure:  # a driver that cannot even send it
                raise RecordsRefusedError(type(failure).__name__) from None
            return len(batch.rows["exchanges"])

    async def _new(self, connection: AsyncConnection, records: Sequence[Record]) -> Sequence[Record]:
        """Those of some records that are not there yet."""
        there: set[str] = set()
        for some in _slices([one.id[:64] for one in records]):
            there.update(
                (await connection.execute(sa.select(exchanges.c.id).where(exchanges.c.id.in_(some)))).scalars()
            )
        return [one for one in records if one.id[:64] not in there]

    async def _insert(self, connection: AsyncConnection, batch: _Batch) -> None:
        for table in _TABLES:
            if batch.rows[table.name]:
                await self._many(connection, table.name, batch.rows[table.name])
        if batch.tallies:
            await self._count(connection, batch.tallies)

    async def _count(self, connection: AsyncConnection, tallies: Sequence[Row]) -> None:
        """Add up; every writer takes the rows in the same order, so that none waits for one that waits for it."""
        await self._many(connection, "addition", tallies)
        # What has been appended to histograms is merged now and then; this transaction has hold of those rows.
        row, mine = usage_tallies.c, {one[: len(_KEYS)] for one in tallies}
        for starts in _slices(sorted({key[2] for key in mine})):
            long = sa.select(usage_tallies).where(row.starts_at.in_(starts), sa.func.length(row.durations) > _LONG)
            found = [one for one in await connection.execute(long) if tuple(one[: len(_KEYS)]) in mine]
            if found:
                merged = [_merged(one) for one in found]
                await self._many(connection, "merging", merged)

    async def _many(self, connection: AsyncConnection, what: str, rows: Sequence[Row]) -> None:
        """Run a statement for each of many rows, past what SQLAlchemy does for each single one."""
        if what not in self._statements:
            if what == "addition":
                statement: Any = _addition(connection)
            elif what == "merging":
                statement = upsert(connection, usage_tallies, _HISTOGRAMS)
            else:
                statement = sa.insert(metadata.tables[what])
            columns = [one.name for one in metadata.tables.get(what, usage_tallies).columns]
            compiled = statement.compile(dialect=connection.dialect, column_keys=columns)
            assert list(compiled.positiontup) == columns, "rows are in the order of their columns"
            self._statements[what] = str(compiled)
        statement = self._statements[what]
        if connection.dialect.name == "sqlite" and what in metadata.tables:
            for several, values in _together(statement, rows):
                await connection.exec_driver_sql(several, values)
        else:
            await connection.exec_driver_sql(statement, list(rows))


@attrs.frozen
class _Batch:
    """Records as rows.

    Args:
        rows: The rows of each table but ``usage_tallies``.
        tallies: What is added to the rows of that, in the order of their keys.
    """

    rows: Rows
    tallies: Sequence[Row]


async def _prepared(records: Sequence[Record]) -> _Batch:
    """Records as rows; many are made into rows in a thread, so that nobody waits for it."""
    return await asyncio.to_thread(_made, records) if len(records) > _AT_ONCE else _made(records)


def _made(records: Sequence[Record]) -> _Batch:
    rows: Rows = {table.name: [] for table in _TABLES}
    for record in sorted(records, key=attrgetter("id")):
        rows_of(record, rows)
    return _Batch(rows, tallies_of(records))


def _together(statement: str, rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """An insertion of one row as insertions of several, as far as there are several, and what each is run with.

    Python's lock is let go and taken back for each row that SQLite inserts by itself, and whoever serves requests
    meanwhile is interrupted as often.
    """
    row = f"({', '.join('?' * len(rows[0]))})"
    assert statement.endswith(row), "it inserts one row"
    size = _MOST_SQLITE_TAKES // len(rows[0])
    end = len(rows) - len(rows) % size
    if end:
        several = [tuple(itertools.chain(*rows[start : start + size])) for start in range(0, end, size)]
        yield statement + f", {row}" * (size - 1), several
    if rows[end:]:
        yield statement, list(rows[end:])


def _merged(row: Any) -> Row:
    """A row of ``usage_tallies`` with what was appended to its histograms merged."""
    merged: list[str] = []
    for name in _HISTOGRAMS:
        counts: dict[int, int] = {}
        unpack_into(getattr(row, name), counts)
        merged.append(pack(counts))
    return (*row[: len(_KEYS) + len(SUMS)], *merged)


def _addition(connection: AsyncConnection) -> Any:
    """The insertion that adds to rows which are there."""
    into = _insertion(connection, usage_tallies)
    row, new = usage_tallies.c, into.inserted if _is_mysql(connection) else into.excluded
    values = {name: row[name] + new[name] for name in SUMS}
    values |= {name: row[name].concat(new[name]) for name in _HISTOGRAMS}
    return _unless_new(connection, into, usage_tallies, values)


def upsert(connection: AsyncConnection, table: sa.Table, names: Iterable[str]) -> Any:
    """An insertion that changes rows which are there.

    Args:
        connection: Where it will run.
        table: Of which table.
        names: The columns that change.
    """
    into = _insertion(connection, table)
    new = into.inserted if _is_mysql(connection) else into.excluded
    return _unless_new(connection, into, table, {name: new[name] for name in names})


def _is_mysql(connection: AsyncConnection) -> bool:
    return connection.dialect.name in {"mysql", "mariadb"}


def _insertion(connection: AsyncConnection, table: sa.Table) -> Any:
    if _is_mysql(connection):
        return mysql.insert(table)
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _unless_new(connection: AsyncConnection, into: Any, table: sa.Table, values: Mapping[str, Any]) -> Any:
    if _is_mysql(connection):
        return into.on_duplicate_key_update(values)
    return into.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[start : start + _MOST_VALUES] for start in range(0, len(values), _MOST_VALUES))


def _blames_data(failure: DBAPIError) -> bool:
    """Whether the values are to blame; asyncpg's own word for that is not passed on as one."""
    cause: Any = failure.orig
    return str(_code(failure)).startswith("22") or type(getattr(cause, "__cause__", None)).__name__ == "DataError"


def _code(failure: DBAPIError) -> object:
    cause: Any = failure.orig
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    return cause.args[0] if code is None and cause is not None and cause.args else code
