"""The tables: every row has its own key, by which the server keeps the last of several that are the same.

Source: ClickHouse, "ReplacingMergeTree", "Refreshable materialized view", "quantilesTDigest".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from .config import ClickHouseConfig

__all__ = ["ATTEMPTS", "CONTENT", "EXCHANGES", "TABLES", "statements"]

_WORD: Final = "LowCardinality(String)"
_COUNT: Final = "Nullable(UInt64)"
_MOMENT: Final = "DateTime64(6, 'UTC')"
_STORED: Final = {"stored_at": "DateTime64(3, 'UTC') DEFAULT now64(3)"}
_TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
    "images",
    "web_searches",
)
_USAGE: Final[Mapping[str, str]] = {
    **dict.fromkeys(_TOKENS, _COUNT),
    "audio_seconds": "Nullable(Float64)",
    "estimated": "Bool",
}
EXCHANGES: Final[Mapping[str, str]] = {
    "id": "String",
    "started_at": _MOMENT,
    "duration": "Float64",
    "first_content": "Nullable(Float64)",
    "operation": _WORD,
    "surface": _WORD,
    "outcome": _WORD,
    "status": "Nullable(UInt16)",
    "error_code": _WORD,
    "error_message": "String",
    "principal": _WORD,
    "principal_issuer": _WORD,
    "key_id": _WORD,
    "team": _WORD,
    "user": "String",
    "session_id": "String",
    "session_path": "String",
    "session_name": "String",
    "prompt_id": "String",
    "user_agent": "String",
    "client_address": "String",
    "client_request_id": "String",
    "router": _WORD,
    "request_model": _WORD,
    "response_model": _WORD,
    "response_id": "String",
    "provider_name": _WORD,
    "stream": "Bool",
    "finish_reason": _WORD,
    "cache": _WORD,
    "limit": _WORD,
    "cost_nano": "Nullable(Int64)",
    "cost_estimated": "Bool",
    "trace_id": "String",
    "properties": "Map(LowCardinality(String), String)",
    "metadata": "Map(LowCardinality(String), String)",
    "stages": "String",
    **_USAGE,
    **_STORED,
}
ATTEMPTS: Final[Mapping[str, str]] = {
    "exchange_id": "String",
    "number": "UInt16",
    "started_at": _MOMENT,
    "deployment": _WORD,
    "provider_name": _WORD,
    "vendor": _WORD,
    "model": _WORD,
    "started": "Float64",
    "duration": "Nullable(Float64)",
    "first_content": "Nullable(Float64)",
    "status": "Nullable(UInt16)",
    "error_code": _WORD,
    "error_message": "String",
    "provider_request_id": "String",
    "credential_ref": _WORD,
    "credential_version": "String",
    "credential_fingerprint": _WORD,
    "abandoned": "Bool",
    "lost": "Bool",
    "cost_nano": "Nullable(Int64)",
    "cost_estimated": "Bool",
    "service_tier": _WORD,
    **_USAGE,
    **_STORED,
}
CONTENT: Final[Mapping[str, str]] = {
    "exchange_id": "String",
    "started_at": _MOMENT,
    **{
        f"{side}_{name}": kind
        for side in ("request", "response")
        for name, kind in {
            "text": "String CODEC(ZSTD(3))",
            "size": "UInt64",
            "digest": "String",
            "media_type": _WORD,
            "truncated": "Bool",
            "redactions": "UInt32",
            "format": _WORD,
        }.items()
    },
    **_STORED,
}
TABLES: Final[Mapping[str, tuple[Mapping[str, str], str]]] = {
    "attempts": (ATTEMPTS, "toStartOfHour(started_at), exchange_id, number"),
    "content": (CONTENT, "toStartOfHour(started_at), exchange_id"),
    "exchanges": (EXCHANGES, "toStartOfHour(started_at), id"),
}
"""Columns and key of each table, in the order in which a batch is written: an exchange that is there is there whole."""
_GROUPS: Final = ("operation", "router", "provider_name", "request_model", "principal", "key_id", "team", "outcome")
_SUMS: Final[Mapping[str, str]] = {
    "requests": "count()",
    "errors": "countIf(outcome IN ('error', 'incomplete'))",
    "cache_hits": "countIf(cache IN ('hit', 'stale'))",
    **{name: f"sum(ifNull({name}, 0))" for name in _TOKENS[:6]},
    "cost_unknown": "countIf(isNull(exchanges.cost_nano))",
    "cost_nano": "sum(ifNull(exchanges.cost_nano, 0))",
}
_LEVELS: Final = "(0.5, 0.9, 0.95, 0.99)"
_FIRST: Final = "assumeNotNull(exchanges.first_content), isNotNull(exchanges.first_content)"
_SINCE: Final = "now64(3) - INTERVAL 1 HOUR"


def statements(config: ClickHouseConfig) -> Iterator[str]:
    """What makes the tables, and the columns that an older llmgate has not made; each may be run any number of times.

    Args:
        config: The keys of the logger.
    """
    yield f"CREATE DATABASE IF NOT EXISTS {config.database}"
    for name, (columns, key) in TABLES.items():
        yield (
            f"CREATE TABLE IF NOT EXISTS {config.database}.{name} ({_written(columns)}) "
            f"ENGINE = ReplacingMergeTree(stored_at) PARTITION BY toYYYYMM(started_at) ORDER BY ({key})"
        )
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS `{column}` {kind}" for column, kind in columns.items())
        yield f"ALTER TABLE {config.database}.{name} {added}"
        keep = config.keep_content if name == "content" else config.keep
        if keep is not None:
            yield (
                f"ALTER TABLE {config.database}.{name} MODIFY TTL "
                f"toDateTime(started_at) + toIntervalSecond({round(keep)})"
            )
    if config.hourly:
        yield from _hourly(config.database)


def _hourly(database: str) -> Iterator[str]:
    """Usage by the hour: an hour is reckoned anew while records of it still come, however late, and however often."""
    columns = {
        "hour": "DateTime('UTC')",
        **dict.fromkeys(_GROUPS, _WORD),
        **dict.fromkeys(_SUMS, "UInt64"),
        "cost_nano": "Int64",
        "durations": f"AggregateFunction(quantilesTDigest{_LEVELS}, Float64)",
        "first_contents": f"AggregateFunction(quantilesTDigest{_LEVELS}, Float64)",
        "version": "DateTime64(3, 'UTC')",
    }
    groups = ", ".join(_GROUPS)
    yield (
        f"CREATE TABLE IF NOT EXISTS {database}.hourly ({_written(columns)}) "
        f"ENGINE = ReplacingMergeTree(version) PARTITION BY toYYYYMM(hour) ORDER BY (hour, {groups})"
    )
    sums = ", ".join(f"{how} AS {name}" for name, how in _SUMS.items())
    selected = ", ".join(
        [
            "toStartOfHour(exchanges.started_at) AS hour",
            groups,
            sums,
            f"quantilesTDigestState{_LEVELS}(exchanges.duration) AS durations",
            f"quantilesTDigestStateIf{_LEVELS}({_FIRST}) AS first_contents",
            "now64(3) AS version",
        ]
    )
    # Nothing of what the config lets through into these is anything but a name.
    stored = f"(SELECT DISTINCT toStartOfHour(started_at) FROM {database}.exchanges WHERE stored_at > {_SINCE})"  # noqa: S608
    yield " ".join(
        [
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.hourly_refresh REFRESH EVERY 1 MINUTE APPEND",
            f"TO {database}.hourly AS SELECT {selected} FROM {database}.exchanges AS exchanges FINAL",  # noqa: S608
            f"WHERE toStartOfHour(exchanges.started_at) IN {stored} GROUP BY hour, {groups}",
        ]
    )


def _written(columns: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())
