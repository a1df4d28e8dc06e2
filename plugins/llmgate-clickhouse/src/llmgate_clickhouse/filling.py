"""Costs that were unknown for want of a price, written anew: rows that replace those of the same key.

Source: ClickHouse, "HTTP interface" (parameters of queries), "INSERT INTO ... SELECT", "transform", "mapUpdate".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.spec import AttemptRecord, Record, Usage

from .schema import ATTEMPTS, EXCHANGES

__all__ = ["Ask", "fill_costs"]

PAGE: Final = 200
"""Records that are looked at, and written, at once."""
_MAPPING: Final = "llmgate.mapping"
_MICRO: Final = 1_000_000
_USAGE: Final = tuple(one.name for one in attrs.fields(Usage) if one.name in ATTEMPTS and one.name != "cost_nano")
_WAITS: Final = f"isNull(cost_nano) AND metadata['{_MAPPING}'] = 'pending'"
_WITHIN: Final = (
    "started_at >= fromUnixTimestamp64Micro({since:Int64}) AND started_at <= fromUnixTimestamp64Micro({until:Int64})"
)

Ask: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[bytes]]
"""Runs a statement with parameters, and returns what the server answers."""


async def fill_costs(ask: Ask, database: str, reckon: Callable[[Record], Record | None]) -> int:
    """Write anew what can be reckoned now; see ``CostFiller.fill_costs``.

    Args:
        ask: Runs statements.
        database: The database of the tables.
        reckon: See there.

    Raises:
        DeliveryError: the server does not do it.
    """
    filled, since, last = 0, 0, ""
    while True:
        page = await _page(ask, database, since, last)
        known = [new for new in (reckon(one) for one in page) if new is not None and new.cost_nano is not None]
        if known:
            await _write(ask, database, known)
            filled += len(known)
        if len(page) < PAGE:
            return filled
        since, last = _micro(page[-1]), page[-1].id


async def _page(ask: Ask, database: str, since: int, last: str) -> Sequence[Record]:
    """The next records that wait for a price, in the order of time, as far as a price depends on them."""
    # The name of the database is a name; all else that is not written here is a parameter.
    asked = (
        "SELECT id, toUnixTimestamp64Micro(started_at) AS moment, response_model, metadata "  # noqa: S608
        f"FROM {database}.exchanges FINAL WHERE {_WAITS} "
        "AND (toUnixTimestamp64Micro(started_at), id) > ({since:Int64}, {last:String}) "
        f"ORDER BY moment, id LIMIT {PAGE} FORMAT JSONEachRow"
    )
    found = _rows(await ask(asked, {"since": str(since), "last": last}))
    if not found:
        return ()
    usage = ", ".join(_USAGE)
    tries = (
        "SELECT exchange_id, number, deployment, provider_name, vendor, model, error_code, abandoned, cost_nano, "  # noqa: S608
        f"service_tier, {usage} FROM {database}.attempts FINAL WHERE {_WITHIN} "
        "AND exchange_id IN {ids:Array(String)} ORDER BY exchange_id, number FORMAT JSONEachRow"
    )
    moments = [int(row["moment"]) for row in found]
    within = {"since": str(min(moments)), "until": str(max(moments)), "ids": _array([row["id"] for row in found])}
    of: dict[str, list[AttemptRecord]] = {}
    for row in _rows(await ask(tries, within)):
        of.setdefault(row["exchange_id"], []).append(_attempt(row))
    return [_record(row, of.get(row["id"], ())) for row in found]


async def _write(ask: Ask, database: str, records: Sequence[Record]) -> None:
    """Copy rows with their costs; those of attempts first, since an exchange that has a cost is not looked at again."""
    moments = [_micro(one) for one in records]
    within = {"since": str(min(moments)), "until": str(max(moments)), "ids": _array([one.id for one in records])}
    costs = {
        f"{one.id} {number}": attempt.cost_nano or 0 for one in records for number, attempt in enumerate(one.attempts)
    }
    key = "concat(exchange_id, ' ', toString(number))"
    cost = f"ifNull(cost_nano, transform({key}, {{keys:Array(String)}}, {{costs:Array(Int64)}}, toInt64(0)))"
    if costs:
        copied = _copied(database, "attempts", ATTEMPTS, {"cost_nano": cost}, "exchange_id")
        await ask(copied, {**within, "keys": _array(list(costs)), "costs": _array(list(costs.values()))})
    changed = {
        "cost_nano": "transform(id, {ids:Array(String)}, {costs:Array(Int64)}, toInt64(0))",
        "metadata": f"mapUpdate(metadata, map('{_MAPPING}', 'back-filled'))",
    }
    copied = _copied(database, "exchanges", EXCHANGES, changed, "id", f" AND {_WAITS}")
    await ask(copied, {**within, "costs": _array([one.cost_nano or 0 for one in records])})


def _copied(
    database: str, table: str, columns: Mapping[str, str], changed: Mapping[str, str], key: str, more: str = ""
) -> str:
    """The statement that writes rows anew; when they are stored the server says itself."""
    names = [name for name in columns if name != "stored_at"]
    written = ", ".join(f"`{name}`" for name in names)
    values = ", ".join(changed.get(name, f"`{name}`") for name in names)
    return (
        f"INSERT INTO {database}.{table} ({written}) SELECT {values} FROM {database}.{table} FINAL "  # noqa: S608
        f"WHERE {_WITHIN} AND {key} IN {{ids:Array(String)}}{more}"
    )


def _rows(answer: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.splitlines() if line]


def _array(values: Sequence[str | int]) -> str:
    """A list as the server reads it in a parameter."""
    return f"[{','.join(str(one) if isinstance(one, int) else _quoted(one) for one in values)}]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _micro(record: Record) -> int:
    return round(record.started_at * _MICRO)


def _attempt(row: Mapping[str, Any]) -> AttemptRecord:
    usage: dict[str, Any] = {name: _number(row[name]) for name in _USAGE}
    told = any(value is not None for name, value in usage.items() if name != "estimated")
    return AttemptRecord(
        deployment=row["deployment"],
        provider_name=row["provider_name"],
        model=row["model"],
        started=0.0,
        duration=None,
        first_content=None,
        status=None,
        error_code=row["error_code"] or None,
        error_message=None,
        usage=Usage(**usage) if told else None,
        provider_request_id=None,
        credential_ref=None,
        credential_version="",
        credential_fingerprint="",
        abandoned=row["abandoned"],
        cost_nano=_number(row["cost_nano"]),
        service_tier=row["service_tier"] or None,
        vendor=row["vendor"],
    )


def _number(value: Any) -> Any:
    """A number, which servers may write as a text."""
    return int(value) if isinstance(value, str) else value


def _record(row: Mapping[str, Any], attempts: Sequence[AttemptRecord]) -> Record:
    return Record(
        id=row["id"],
        operation="",
        surface="",
        started_at=int(row["moment"]) / _MICRO,
        duration=0.0,
        first_content=None,
        outcome="ok",
        status=None,
        error_code=None,
        error_message=None,
        principal=None,
        principal_issuer=None,
        client_address="",
        client_request_id=None,
        router=None,
        request_model=None,
        stream=False,
        provider_name=None,
        response_model=row["response_model"] or None,
        response_id=None,
        finish_reason=None,
        usage=None,
        attempts=tuple(attempts),
        metadata=row["metadata"],
    )
