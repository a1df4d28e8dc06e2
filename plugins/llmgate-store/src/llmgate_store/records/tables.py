"""The tables of records, as SQLAlchemy sees them; ``migrations`` makes them.

``exchanges`` has a column for whatever is asked for, ``exchange_records`` the whole record, ``payloads`` content, and
``usage_tallies`` what they add up to, by the hour and by the day (UTC). Latencies are kept as buckets of histograms.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from llmgate_store.tables import metadata, text, word

__all__ = [
    "SHORT",
    "attempts",
    "exchange_records",
    "exchanges",
    "feedback",
    "identifier",
    "long_text",
    "packed",
    "payloads",
    "properties",
    "usage_blocks",
    "usage_tallies",
]

SHORT: Final = 200
"""Characters of a column's text; the end of a longer one is in the whole record alone."""


def identifier() -> Any:
    """The id of an exchange, in an order in which its beginnings are found by an index."""
    exact = mysql.VARCHAR(64, charset="ascii", collation="ascii_bin")
    plain = sa.String(64, collation="C")
    return sa.String(64).with_variant(exact, "mysql", "mariadb").with_variant(plain, "postgresql")


def long_text() -> Any:
    """Text of any language and of up to 4 GB."""
    return sa.Text().with_variant(mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def packed() -> Any:
    """A packed histogram, and what was appended to it since."""
    return sa.Text().with_variant(mysql.VARCHAR(8000, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


exchanges: Final = sa.Table(
    "exchanges",
    metadata,
    sa.Column("id", identifier(), primary_key=True),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("quarter", sa.BigInteger, nullable=False),
    sa.Column("operation", word(64), nullable=False),
    sa.Column("surface", word(64), nullable=False),
    sa.Column("outcome", word(32), nullable=False),
    sa.Column("status", sa.Integer, nullable=True),
    sa.Column("error_code", word(100), nullable=True),
    sa.Column("principal", text(SHORT), nullable=True),
    sa.Column("issuer", text(SHORT), nullable=True),
    sa.Column("key_id", text(SHORT), nullable=True),
    sa.Column("team", text(SHORT), nullable=True),
    sa.Column("end_user", text(SHORT), nullable=True),
    sa.Column("client", text(SHORT), nullable=True),
    sa.Column("client_address", word(64), nullable=False),
    sa.Column("router", text(SHORT), nullable=True),
    sa.Column("request_model", text(SHORT), nullable=True),
    sa.Column("response_model", text(SHORT), nullable=True),
    sa.Column("model", text(SHORT), nullable=True),
    sa.Column("provider", text(SHORT), nullable=True),
    sa.Column("credential", text(SHORT), nullable=True),
    sa.Column("streamed", sa.Boolean, nullable=False),
    sa.Column("finish_reason", word(64), nullable=True),
    sa.Column("cache", word(64), nullable=True),
    sa.Column("session_id", text(SHORT), nullable=True),
    sa.Column("session_path", text(SHORT), nullable=True),
    sa.Column("session_name", text(SHORT), nullable=True),
    sa.Column("prompt_id", text(SHORT), nullable=True),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=True),
    sa.Column("output_tokens", sa.BigInteger, nullable=True),
    sa.Column("cache_read", sa.BigInteger, nullable=True),
    sa.Column("cache_write", sa.BigInteger, nullable=True),
    sa.Column("reasoning", sa.BigInteger, nullable=True),
    sa.Column("cost_nano", sa.BigInteger, nullable=True),
    sa.Column("duration_us", sa.BigInteger, nullable=False),
    sa.Column("first_content_us", sa.BigInteger, nullable=True),
    sa.Column("duration_bucket", sa.SmallInteger, nullable=False),
    sa.Column("first_content_bucket", sa.SmallInteger, nullable=True),
    sa.Index("ix_exchanges_started_at", "started_at", "id"),
    sa.Index("ix_exchanges_principal", "principal", "started_at"),
    sa.Index("ix_exchanges_end_user", "end_user", "started_at"),
    sa.Index("ix_exchanges_session_id", "session_id", "started_at"),
)
"""What is asked for of every exchange. ``model``, ``provider`` and ``credential`` are those of its last attempt,
``quarter`` is the quarter of an hour since the epoch in which it began: every time zone is whole quarters from UTC."""

exchange_records: Final = sa.Table(
    "exchange_records",
    metadata,
    sa.Column("exchange_id", identifier(), primary_key=True),
    sa.Column("record", long_text(), nullable=False),
)
"""The whole record as JSON, content left out."""

attempts: Final = sa.Table(
    "exchange_attempts",
    metadata,
    sa.Column("exchange_id", identifier(), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deployment", text(SHORT), nullable=False),
    sa.Column("provider", text(SHORT), nullable=False),
    sa.Column("model", text(SHORT), nullable=False),
    sa.Column("started_at", sa.BigInteger, nullable=False),
    sa.Column("duration_us", sa.BigInteger, nullable=True),
    sa.Column("status", sa.Integer, nullable=True),
    sa.Column("error_code", word(100), nullable=True),
    sa.Column("credential_ref", text(SHORT), nullable=True),
    sa.Column("credential_version", text(SHORT), nullable=False),
    sa.Column("credential_fingerprint", word(64), nullable=False),
    sa.Column("input_tokens", sa.BigInteger, nullable=True),
    sa.Column("output_tokens", sa.BigInteger, nullable=True),
    sa.Column("cost_nano", sa.BigInteger, nullable=True),
    sa.Column("abandoned", sa.Boolean, nullable=False),
    sa.Column("lost", sa.Boolean, nullable=False),
)
"""The upstream tries of every exchange, from 0."""

properties: Final = sa.Table(
    "exchange_properties",
    metadata,
    sa.Column("exchange_id", identifier(), primary_key=True),
    sa.Column("name", text(SHORT), primary_key=True),
    sa.Column("value", text(SHORT), nullable=False),
    sa.Index("ix_exchange_properties_value", "name", "value"),
)
"""The properties that callers gave their requests."""

payloads: Final = sa.Table(
    "payloads",
    metadata,
    sa.Column("exchange_id", identifier(), primary_key=True),
    sa.Column("side", word(16), primary_key=True),
    sa.Column("started_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("digest", word(64), nullable=False),
    sa.Column("media_type", text(SHORT), nullable=False),
    sa.Column("body", long_text(), nullable=True),
    sa.Column("truncated", sa.Boolean, nullable=False),
    sa.Column("redactions", sa.Integer, nullable=False),
    sa.Column("format", word(64), nullable=False, server_default=""),
)
"""What was asked and answered, apart from all else, so that it can be let go of before the rest."""

feedback: Final = sa.Table(
    "exchange_feedback",
    metadata,
    sa.Column("exchange_id", identifier(), primary_key=True),
    sa.Column("issuer", text(100), primary_key=True),
    sa.Column("given_by", text(SHORT), primary_key=True),
    sa.Column("name", text(100), primary_key=True),
    sa.Column("given_at", sa.BigInteger, nullable=False),
    sa.Column("value", long_text(), nullable=False),
    sa.Column("number", sa.Double, nullable=True),
    sa.Column("comment", long_text(), nullable=True),
)
"""What is thought of exchanges. ``value`` is JSON, ``number`` the same where it is one, or yes (1) or no (0)."""

usage_tallies: Final = sa.Table(
    "usage_tallies",
    metadata,
    sa.Column("dimension", text(140), primary_key=True),
    sa.Column("grain", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("starts_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", text(SHORT), primary_key=True),
    _count("requests"),
    _count("errors"),
    _count("cache_hits"),
    _count("input_tokens"),
    _count("output_tokens"),
    _count("cache_read"),
    _count("cache_write"),
    _count("reasoning"),
    _count("cost_nano"),
    _count("cost_unknown"),
    _count("duration_us"),
    sa.Column("durations", packed(), nullable=False),
    sa.Column("first_contents", packed(), nullable=False),
    sa.Index("ix_usage_tallies_starts_at", "starts_at"),
    sqlite_with_rowid=False,
)
"""What the exchanges of an hour (``grain`` 1) or a day (24) add up to, by each value of each dimension; ``""`` is the
value of exchanges without one. ``starts_at`` is whole hours since the epoch; the histograms are packed."""

usage_blocks: Final = sa.Table(
    "usage_blocks",
    metadata,
    sa.Column("dimensions", text(140), primary_key=True),
    sa.Column("days", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("first_day", sa.BigInteger, primary_key=True, autoincrement=False),
    _count("requests"),
    _count("cost_nano"),
    _count("cost_unknown"),
    sa.Column("sums", long_text(), nullable=False),
    sa.Column("histograms", long_text(), nullable=False),
)
"""What the exchanges of some whole days (UTC) add up to by several dimensions together, kept once somebody has asked.
A block counts only while its totals are those of ``usage_tallies``; see ``blocks``."""
