"""The keys in the database: made, found, replaced, revoked. Nothing here knows a key itself once it has been made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from llmgate.spec import CallerLimit, Clock, GatewayError, KeyPage, Peppers
from llmgate_store.config import KEYS
from llmgate_store.database import Database
from llmgate_store.tables import MICROSECONDS, issued_keys, revisions

from .grant import Grant, IssuedKey, KeyKind, State
from .text import KeyText

__all__ = ["KeyBook", "KeyChangeError", "Seen"]

PAGE: Final = 1000
"""Keys that are handed to another process at a time."""
MOST_CHANGES: Final = 1000
"""Changed keys that are told one by one; beyond it everybody is to forget all."""


class KeyChangeError(GatewayError):
    """A key cannot be changed as asked; the message says why."""

    default_code = "key_not_changed"


@attrs.frozen
class Seen:
    """What the database says of a key.

    Args:
        revision: How far the keys had been changed when it was asked.
        key: The key, None for unknown.
    """

    revision: int
    key: IssuedKey | None


class KeyBook:
    """Issued keys, in a database.

    Args:
        database: Where they are.
        clock: Time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, grant: Grant, peppers: Peppers) -> tuple[KeyText, IssuedKey]:
        """Make a key.

        Returns:
            The key itself, which nobody can say again, and what is kept of it.
        """
        text = KeyText.new()
        if grant.expires_at is not None:
            grant = attrs.evolve(grant, expires_at=_seconds(_whole(grant.expires_at)))
        key = self._made(text, text.public_id, grant, peppers)
        async with self._database.write() as connection:
            revision = await self._database.raise_revision(connection, KEYS)
            await connection.execute(sa.insert(issued_keys).values(**_row_of(key), revision=revision))
        return text, key

    async def rotate(self, public_id: str, peppers: Peppers, *, overlap: float) -> tuple[KeyText, IssuedKey]:
        """Make a key that replaces another, with the same rights; both work for a while.

        Args:
            public_id: The key to replace.
            peppers: What the new one is hashed with.
            overlap: Seconds for which the old one still works.

        Returns:
            The new key itself, and what is kept of it.

        Raises:
            KeyChangeError: there is no such key, or it works no longer, or has been replaced already.
        """
        now = self._clock.now()
        text = KeyText.new()
        async with self._database.write() as connection:
            revision = await self._database.raise_revision(connection, KEYS)
            old = await _find(connection, public_id)
            if old is None:
                raise KeyChangeError(f"there is no key {public_id}: see `llmgate keys list`")
            if old.replaced_by is not None:
                raise KeyChangeError(f"key {public_id} has been replaced by {old.replaced_by}: rotate that one")
            if old.state(now) is not State.ACTIVE:
                raise KeyChangeError(f"key {public_id} is {old.state(now).value}: make a new one")
            key = self._made(text, old.family_id, old.grant, peppers)
            await connection.execute(sa.insert(issued_keys).values(**_row_of(key), revision=revision))
            await connection.execute(
                sa.update(issued_keys)
                .where(issued_keys.c.public_id == public_id)
                .values(replaced_by=key.public_id, ends_at=_whole(now + overlap), revision=revision)
            )
        return text, key

    async def revoke(self, public_id: str, *, by: str, reason: str | None, family: bool = False) -> Sequence[str]:
        """Make a key work no longer, for ever.

        Args:
            public_id: The key.
            by: Who does it.
            reason: Why.
            family: Whether all keys are meant that it replaced or that replace it.

        Returns:
            The keys that worked until now.

        Raises:
            KeyChangeError: there is no such key.
        """
        async with self._database.write() as connection:
            revision = await self._database.raise_revision(connection, KEYS)
            key = await _find(connection, public_id)
            if key is None:
                raise KeyChangeError(f"there is no key {public_id}: see `llmgate keys list`")
            column = issued_keys.c.family_id if family else issued_keys.c.public_id
            meant = (column == (key.family_id if family else public_id)) & issued_keys.c.revoked_at.is_(None)
            found = (await connection.execute(sa.select(issued_keys.c.public_id).where(meant))).scalars().all()
            await connection.execute(
                sa.update(issued_keys)
                .where(meant)
                .values(revoked_at=_whole(self._clock.now()), revoked_by=by, revoke_reason=reason, revision=revision)
            )
        return found

    async def find(self, public_id: str) -> IssuedKey | None:
        """What is kept of a key; None for unknown."""
        return (await self.look_up(public_id)).key

    async def look_up(self, public_id: str) -> Seen:
        """What is kept of a key, in one question, with the revision at which that was so."""
        joined = revisions.outerjoin(issued_keys, issued_keys.c.public_id == sa.bindparam("public_id"))
        question = sa.select(revisions.c.revision.label("seen"), issued_keys).select_from(joined)
        async with self._database.read() as connection:
            rows = await connection.execute(question.where(revisions.c.subject == KEYS), {"public_id": public_id})
            row = rows.mappings().one()
        return Seen(row["seen"], _key_of(row) if row["public_id"] is not None else None)

    async def list(
        self, *, owner: str | None = None, team: str | None = None, all_states: bool = False, limit: int = 1000
    ) -> Sequence[IssuedKey]:
        """Keys, the youngest first.

        Args:
            owner: Only this owner's; None for everybody's.
            team: Only this team's; None for every team's.
            all_states: Whether those are wanted that work no longer.
            limit: How many at most.
        """
        now = _whole(self._clock.now())
        columns = issued_keys.c
        question = sa.select(issued_keys).order_by(columns.created_at.desc(), columns.public_id).limit(limit)
        if owner is not None:
            question = question.where(columns.owner_name == owner)
        if team is not None:
            question = question.where(columns.team == team)
        if not all_states:
            question = question.where(
                columns.revoked_at.is_(None),
                columns.expires_at.is_(None) | (columns.expires_at > now),
                columns.ends_at.is_(None) | (columns.ends_at > now),
            )
        async with self._database.read() as connection:
            return [_key_of(row) for row in (await connection.execute(question)).mappings()]

    async def revision(self) -> int:
        """How far the keys have been changed."""
        question = sa.select(revisions.c.revision).where(revisions.c.subject == KEYS)
        async with self._database.read() as connection:
            return int((await connection.execute(question)).scalar_one())

    async def changed_since(self, revision: int) -> Sequence[str] | None:
        """The keys that were made or changed after a revision; None for more than can be told one by one."""
        question = sa.select(issued_keys.c.public_id).where(issued_keys.c.revision > revision).limit(MOST_CHANGES + 1)
        async with self._database.read() as connection:
            found = (await connection.execute(question)).scalars().all()
        return None if len(found) > MOST_CHANGES else found

    async def page(self, after: int | None, cursor: str | None) -> KeyPage:
        """Keys as other processes need them, so many at most; see ``spec.KeyBook``."""
        columns = issued_keys.c
        question = sa.select(issued_keys).order_by(columns.public_id).limit(PAGE + 1)
        if after is None:
            question = question.where(columns.revoked_at.is_(None))
        else:
            question = question.where(columns.revision > after)
        if cursor is not None:
            question = question.where(columns.public_id > cursor)
        seen = sa.select(revisions.c.revision).where(revisions.c.subject == KEYS)
        async with self._database.read() as connection:
            # First the revision: what is changed before the keys are read is told once more, and nothing is missed.
            revision = int((await connection.execute(seen)).scalar_one())
            found = [_key_of(row) for row in (await connection.execute(question)).mappings()]
        return KeyPage(
            revision, [key.shared() for key in found[:PAGE]], found[PAGE - 1].public_id if found[PAGE:] else None
        )

    async def note_used(self, used: Mapping[str, float]) -> None:
        """Write when keys were last used, in seconds since the epoch by key; it is no change that anybody is told."""
        if not used:
            return
        statement = (
            sa.update(issued_keys)
            .where(issued_keys.c.public_id == sa.bindparam("used_key"))
            .values(last_used_at=sa.bindparam("used_at"))
        )
        rows = [{"used_key": key, "used_at": _whole(at)} for key, at in sorted(used.items())]
        async with self._database.write() as connection:
            await connection.execute(statement, rows)

    def _made(self, text: KeyText, family_id: str, grant: Grant, peppers: Peppers) -> IssuedKey:
        return IssuedKey(
            public_id=text.public_id,
            family_id=family_id,
            last_four=text.last_four,
            grant=grant,
            secret_hash=peppers.hash_of(text.text),
            pepper_id=peppers.current,
            created_at=_whole(self._clock.now()) / MICROSECONDS,
        )


async def _find(connection: Any, public_id: str) -> IssuedKey | None:
    question = sa.select(issued_keys).where(issued_keys.c.public_id == public_id)
    row = (await connection.execute(question)).mappings().one_or_none()
    return None if row is None else _key_of(row)


def _whole(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


def _seconds(whole: int | None) -> float | None:
    return None if whole is None else whole / MICROSECONDS


def _row_of(key: IssuedKey) -> Mapping[str, Any]:
    grant = key.grant
    return {
        "public_id": key.public_id,
        "family_id": key.family_id,
        "secret_hash": key.secret_hash,
        "pepper_id": key.pepper_id,
        "last_four": key.last_four,
        "label": grant.label,
        "kind": grant.kind.value,
        "owner_name": grant.owner,
        "team": grant.team,
        "issued_by": grant.issued_by,
        "scopes": _plain(grant.scopes),
        "models": _plain(grant.models),
        "denied_models": list(grant.denied_models),
        "addresses": _plain(grant.addresses),
        "secrets": dict(grant.secrets) or None,
        "limits": [attrs.asdict(one) for one in grant.limits] or None,
        "created_at": _whole(key.created_at),
        "expires_at": None if grant.expires_at is None else _whole(grant.expires_at),
    }


def _plain(values: Sequence[str] | None) -> Sequence[str] | None:
    return None if values is None else list(values)


def _key_of(row: RowMapping) -> IssuedKey:
    grant = Grant(
        label=row["label"],
        owner=row["owner_name"],
        issued_by=row["issued_by"],
        kind=KeyKind(row["kind"]),
        team=row["team"],
        scopes=row["scopes"],
        models=row["models"],
        denied_models=tuple(row["denied_models"]),
        addresses=row["addresses"],
        expires_at=_seconds(row["expires_at"]),
        secrets=row["secrets"] or {},
        limits=tuple(CallerLimit(**one) for one in row["limits"] or ()),
    )
    return IssuedKey(
        public_id=row["public_id"],
        family_id=row["family_id"],
        last_four=row["last_four"],
        grant=grant,
        secret_hash=bytes(row["secret_hash"]),
        pepper_id=row["pepper_id"],
        created_at=row["created_at"] / MICROSECONDS,
        replaced_by=row["replaced_by"],
        ends_at=_seconds(row["ends_at"]),
        revoked_at=_seconds(row["revoked_at"]),
        revoked_by=row["revoked_by"],
        revoke_reason=row["revoke_reason"],
        last_used_at=_seconds(row["last_used_at"]),
    )
