"""Every table, as SQLAlchemy sees it; ``migrations`` makes them.

Times are whole microseconds since the epoch, ids are text that tells upper from lower case, on every database alike.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

__all__ = [
    "MICROSECONDS",
    "domain_events",
    "issued_keys",
    "metadata",
    "revisions",
    "text",
    "vault_secrets",
    "word",
]

metadata: Final = sa.MetaData()

MICROSECONDS: Final = 1_000_000


def word(length: int) -> Any:
    """Text of ASCII alone that tells upper from lower case."""
    exact = mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


def text(length: int) -> Any:
    """Text of any language that tells upper from lower case."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return sa.String(length).with_variant(exact, "mysql", "mariadb")


revisions: Final = sa.Table(
    "store_revisions",
    metadata,
    sa.Column("subject", word(32), primary_key=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
)
"""How often each subject has been changed.

A writer raises it first, in its own transaction: the row's lock puts writers in order, so whoever has seen a revision
has seen all before it.
"""

issued_keys: Final = sa.Table(
    "issued_keys",
    metadata,
    sa.Column("public_id", word(16), primary_key=True),
    sa.Column("family_id", word(16), nullable=False, index=True),
    sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("pepper_id", word(16), nullable=False),
    sa.Column("last_four", word(4), nullable=False),
    sa.Column("label", text(200), nullable=False),
    sa.Column("kind", word(16), nullable=False),
    sa.Column("owner_name", text(200), nullable=False),
    sa.Column("team", text(200), nullable=True, index=True),
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
    sa.Column("revision", sa.BigInteger, nullable=False, index=True),
    sa.Column("secrets", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("limits", sa.JSON(none_as_null=True), nullable=True),
)
"""The keys made for callers; of a key itself only a hash is kept. ``ends_at`` is when a key that was replaced ends."""

vault_secrets: Final = sa.Table(
    "vault_secrets",
    metadata,
    sa.Column("name", word(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("ciphertext", sa.LargeBinary(65535), nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary(255), nullable=False),
    sa.Column("master_id", word(16), nullable=False),
    sa.Column("note", text(500), nullable=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("created_by", text(200), nullable=False),
)
"""The vault: secrets, each sealed with a key of its own, which is sealed with a master key that is not here."""

domain_events: Final = sa.Table(
    "domain_events",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", word(40), nullable=False),
    sa.Column("domain", word(253), nullable=False),
    sa.Column("action", word(16), nullable=False),
    sa.Column("done_by", text(200), nullable=False),
    sa.Column("note", text(2000), nullable=False),
    sa.Column("token", word(64), nullable=False),
    sa.Column("proof", text(500), nullable=False),
)
"""What was asked, proven and decided of domains. Rows are only ever added: they are the audit as well."""
