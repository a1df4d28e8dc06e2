"""The records of exchanges, what they add up to, and what is thought of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.records.tables import identifier, long_text, packed
from llmgate_store.tables import text, word

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and their indexes."""
    for make in (_exchanges, _exchange_records, _attempts, _properties, _payloads, _feedback, _usage_tallies):
        make()


def _exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("id", identifier(), primary_key=True),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("quarter", sa.BigInteger, nullable=False),
        sa.Column("operation", word(64), nullable=False),
        sa.Column("surface", word(64), nullable=False),
        sa.Column("outcome", word(32), nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("error_code", word(100), nullable=True),
        sa.Column("principal", text(200), nullable=True),
        sa.Column("issuer", text(200), nullable=True),
        sa.Column("key_id", text(200), nullable=True),
        sa.Column("team", text(200), nullable=True),
        sa.Column("end_user", text(200), nullable=True),
        sa.Column("client", text(200), nullable=True),
        sa.Column("client_address", word(64), nullable=False),
        sa.Column("router", text(200), nullable=True),
        sa.Column("request_model", text(200), nullable=True),
        sa.Column("response_model", text(200), nullable=True),
        sa.Column("model", text(200), nullable=True),
        sa.Column("provider", text(200), nullable=True),
        sa.Column("credential", text(200), nullable=True),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("finish_reason", word(64), nullable=True),
        sa.Column("cache", word(64), nullable=True),
        sa.Column("session_id", text(200), nullable=True),
        sa.Column("session_path", text(200), nullable=True),
        sa.Column("session_name", text(200), nullable=True),
        sa.Column("prompt_id", text(200), nullable=True),
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
    )
    op.create_index("ix_exchanges_started_at", "exchanges", ["started_at", "id"])
    op.create_index("ix_exchanges_principal", "exchanges", ["principal", "started_at"])
    op.create_index("ix_exchanges_end_user", "exchanges", ["end_user", "started_at"])
    op.create_index("ix_exchanges_session_id", "exchanges", ["session_id", "started_at"])


def _exchange_records() -> None:
    op.create_table(
        "exchange_records",
        sa.Column("exchange_id", identifier(), primary_key=True),
        sa.Column("record", long_text(), nullable=False),
    )


def _attempts() -> None:
    op.create_table(
        "exchange_attempts",
        sa.Column("exchange_id", identifier(), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("deployment", text(200), nullable=False),
        sa.Column("provider", text(200), nullable=False),
        sa.Column("model", text(200), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=True),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("error_code", word(100), nullable=True),
        sa.Column("credential_ref", text(200), nullable=True),
        sa.Column("credential_version", text(200), nullable=False),
        sa.Column("credential_fingerprint", word(64), nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=True),
        sa.Column("output_tokens", sa.BigInteger, nullable=True),
        sa.Column("cost_nano", sa.BigInteger, nullable=True),
        sa.Column("abandoned", sa.Boolean, nullable=False),
        sa.Column("lost", sa.Boolean, nullable=False),
    )


def _properties() -> None:
    op.create_table(
        "exchange_properties",
        sa.Column("exchange_id", identifier(), primary_key=True),
        sa.Column("name", text(200), primary_key=True),
        sa.Column("value", text(200), nullable=False),
    )
    op.create_index("ix_exchange_properties_value", "exchange_properties", ["name", "value"])


def _payloads() -> None:
    op.create_table(
        "payloads",
        sa.Column("exchange_id", identifier(), primary_key=True),
        sa.Column("side", word(16), primary_key=True),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("digest", word(64), nullable=False),
        sa.Column("media_type", text(200), nullable=False),
        sa.Column("body", long_text(), nullable=True),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.Column("redactions", sa.Integer, nullable=False),
    )
    op.create_index("ix_payloads_started_at", "payloads", ["started_at"])


def _feedback() -> None:
    op.create_table(
        "exchange_feedback",
        sa.Column("exchange_id", identifier(), primary_key=True),
        sa.Column("issuer", text(100), primary_key=True),
        sa.Column("given_by", text(200), primary_key=True),
        sa.Column("name", text(100), primary_key=True),
        sa.Column("given_at", sa.BigInteger, nullable=False),
        sa.Column("value", long_text(), nullable=False),
        sa.Column("number", sa.Double, nullable=True),
        sa.Column("comment", long_text(), nullable=True),
    )


def _usage_tallies() -> None:
    op.create_table(
        "usage_tallies",
        sa.Column("dimension", text(140), primary_key=True),
        sa.Column("grain", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("starts_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", text(200), primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("cache_hits", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_read", sa.BigInteger, nullable=False),
        sa.Column("cache_write", sa.BigInteger, nullable=False),
        sa.Column("reasoning", sa.BigInteger, nullable=False),
        sa.Column("cost_nano", sa.BigInteger, nullable=False),
        sa.Column("cost_unknown", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("durations", packed(), nullable=False),
        sa.Column("first_contents", packed(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_tallies_starts_at", "usage_tallies", ["starts_at"])
