"""The vault of provider keys, and the keys that callers are bound to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.tables import text, word

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "vault_secrets",
        sa.Column("name", word(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ciphertext", sa.LargeBinary(65535), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(255), nullable=False),
        sa.Column("master_id", word(16), nullable=False),
        sa.Column("note", text(500), nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", text(200), nullable=False),
    )
    subjects = sa.table("store_revisions", sa.column("subject", sa.String), sa.column("revision", sa.BigInteger))
    op.bulk_insert(subjects, [{"subject": "vault", "revision": 0}])
    op.add_column("issued_keys", sa.Column("secrets", sa.JSON(none_as_null=True), nullable=True))
