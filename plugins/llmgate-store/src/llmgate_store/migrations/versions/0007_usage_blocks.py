"""What whole days add up to by several dimensions together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.records.tables import long_text
from llmgate_store.tables import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "usage_blocks",
        sa.Column("dimensions", text(140), primary_key=True),
        sa.Column("days", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("first_day", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("cost_nano", sa.BigInteger, nullable=False),
        sa.Column("cost_unknown", sa.BigInteger, nullable=False),
        sa.Column("sums", long_text(), nullable=False),
        sa.Column("histograms", long_text(), nullable=False),
    )
