"""The wire format that a kept content is in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmgate_store.tables import word

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column; of what was kept before nobody knows the format any more."""
    op.add_column("payloads", sa.Column("format", word(64), nullable=False, server_default=""))
