"""What was asked, proven and decided of domains."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.tables import text, word

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "domain_events",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", word(40), nullable=False),
        sa.Column("domain", word(253), nullable=False),
        sa.Column("action", word(16), nullable=False),
        sa.Column("done_by", text(200), nullable=False),
        sa.Column("note", text(2000), nullable=False),
        sa.Column("token", word(64), nullable=False),
        sa.Column("proof", text(500), nullable=False),
    )
    subjects = sa.table("store_revisions", sa.column("subject", sa.String), sa.column("revision", sa.BigInteger))
    op.bulk_insert(subjects, [{"subject": "domains", "revision": 0}])
