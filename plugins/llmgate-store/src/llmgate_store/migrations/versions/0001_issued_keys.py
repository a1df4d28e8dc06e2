"""Issued keys, and the revisions by which other processes notice a change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.tables import text, word

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    revisions = op.create_table(
        "store_revisions",
        sa.Column("subject", word(32), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revisions, [{"subject": "keys", "revision": 0}])
    op.create_table(
        "issued_keys",
        sa.Column("public_id", word(16), primary_key=True),
        sa.Column("family_id", word(16), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("pepper_id", word(16), nullable=False),
        sa.Column("last_four", word(4), nullable=False),
        sa.Column("label", text(200), nullable=False),
        sa.Column("kind", word(16), nullable=False),
        sa.Column("owner_name", text(200), nullable=False),
        sa.Column("team", text(200), nullable=True),
        sa.Column("issued_by", text(200), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("models", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("denied_models", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("addresses", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("replaced_by", word(16), nullable=True),
        sa.Column("ends_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_by", text(200), nullable=True),
        sa.Column("revoke_reason", text(500), nullable=True),
        sa.Column("last_used_at", sa.BigInteger, nullable=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    for column in ("family_id", "team", "revision"):
        op.create_index(f"ix_issued_keys_{column}", "issued_keys", [column])
