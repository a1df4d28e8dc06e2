"""The limits that a key has for itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column."""
    op.add_column("issued_keys", sa.Column("limits", sa.JSON(none_as_null=True), nullable=True))
