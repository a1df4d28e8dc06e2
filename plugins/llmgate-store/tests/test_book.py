"""Keys in the database: each change is whole, in order, and seen by whoever asks for what has changed."""

from __future__ import annotations

import asyncio

import attrs
import pytest
import sqlalchemy as sa
from llmgate_store.database import Database
from llmgate_store.keys.book import KeyBook, KeyChangeError
from llmgate_store.keys.grant import Grant, KeyKind, State
from llmgate_store.tables import issued_keys

from llmgate.spec import CallerLimit, Peppers
from llmgate.testing.clock import FakeClock

FULL = Grant(
    label="Ключ für é 🔑",
    owner="jane@example.com",
    issued_by="root",
    kind=KeyKind.TEAM,
    team="Search",
    scopes=("chat", "embeddings"),
    models=("openai/*", "claude-*"),
    denied_models=("*-preview",),
    addresses=("10.0.0.0/8", "2001:db8::/32"),
    expires_at=2_000_000_000.123456,
    secrets={"openai": "vault:team-a/openai"},
    limits=(CallerLimit(100, 60.0), CallerLimit(5, None, "concurrent")),
)


async def test_a_key_comes_back_as_it_was_made(book: KeyBook, peppers: Peppers, grant: Grant):
    for one in (grant, FULL, attrs.evolve(FULL, scopes=(), models=())):
        text, made = await book.create(one, peppers)
        found = await book.find(text.public_id)
        assert found is not None
        assert attrs.asdict(found.grant) == {
            name: list(value) if isinstance(value, tuple) and name not in {"denied_models", "limits"} else value
            for name, value in attrs.asdict(one).items()
        }
        assert found.secret_hash == made.secret_hash == peppers.hash_of(text.text)
        assert abs(found.created_at - made.created_at) < 1e-5
        assert found.family_id == text.public_id
    assert await book.find("A" * 12) is None


async def test_no_row_holds_the_key(book: KeyBook, peppers: Peppers, grant: Grant, database: Database):
    text, key = await book.create(grant, peppers)
    secret = text.text.removeprefix(f"sk-lg-{text.public_id}-")
    async with database.read() as connection:
        rows = str((await connection.execute(sa.select(issued_keys))).mappings().all())
    assert secret not in rows
    assert secret[:32] not in rows
    assert secret not in repr(key)


async def test_a_public_part_is_found_in_its_own_case_only(book: KeyBook, peppers: Peppers, grant: Grant):
    text, _ = await book.create(grant, peppers)
    assert await book.find(text.public_id.swapcase()) is None


async def test_a_key_that_replaces_another_has_its_rights_and_its_family(book: KeyBook, peppers: Peppers):
    old, first = await book.create(FULL, peppers)
    new, second = await book.rotate(old.public_id, peppers, overlap=60)
    third, last = await book.rotate(new.public_id, peppers, overlap=0)
    assert len({old.text, new.text, third.text}) == 3
    assert first.family_id == second.family_id == last.family_id == old.public_id
    replaced = await book.find(old.public_id)
    assert replaced is not None
    assert replaced.replaced_by == new.public_id
    assert replaced.ends_at is not None
    assert replaced.state(replaced.ends_at - 1) is State.ACTIVE
    assert replaced.state(replaced.ends_at) is State.REPLACED
    with pytest.raises(KeyChangeError, match=f"replaced by {new.public_id}"):
        await book.rotate(old.public_id, peppers, overlap=0)


async def test_of_many_who_rotate_one_key_at_once_one_succeeds(book: KeyBook, peppers: Peppers, grant: Grant):
    old, _ = await book.create(grant, peppers)
    done = await asyncio.gather(
        *(book.rotate(old.public_id, peppers, overlap=60) for _ in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(one, KeyChangeError) for one in done) == 1
    assert len(await book.list()) == 2


async def test_a_revoked_key_is_so_for_ever(book: KeyBook, peppers: Peppers, grant: Grant):
    text, _ = await book.create(grant, peppers)
    assert await book.revoke(text.public_id, by="root", reason="leaked") == [text.public_id]
    assert await book.revoke(text.public_id, by="other", reason=None) == []
    key = await book.find(text.public_id)
    assert key is not None
    assert (key.state(0), key.revoked_by, key.revoke_reason) == (State.REVOKED, "root", "leaked")
    with pytest.raises(KeyChangeError, match="is revoked"):
        await book.rotate(text.public_id, peppers, overlap=60)
    for change in (book.rotate("A" * 12, peppers, overlap=0), book.revoke("A" * 12, by="x", reason=None)):
        with pytest.raises(KeyChangeError, match="there is no key"):
            await change


async def test_a_family_is_revoked_together(book: KeyBook, peppers: Peppers, grant: Grant):
    old, _ = await book.create(grant, peppers)
    new, _ = await book.rotate(old.public_id, peppers, overlap=3600)
    other, _ = await book.create(grant, peppers)
    assert set(await book.revoke(new.public_id, by="x", reason=None, family=True)) == {old.public_id, new.public_id}
    assert [key.public_id for key in await book.list()] == [other.public_id]


async def test_the_list_shows_what_works_unless_all_is_asked_for(database: Database, peppers):
    clock = FakeClock()
    book = KeyBook(database, clock)
    made = {}
    for label, owner, team, expires in (
        ("a", "jane", "t", None),
        ("b", "jane", None, clock.now() + 10),
        ("c", "joe", "t", None),
    ):
        clock.advance(1)
        text, _ = await book.create(
            Grant(label=label, owner=owner, team=team, issued_by="x", expires_at=expires), peppers
        )
        made[label] = text.public_id
    await book.revoke(made["c"], by="x", reason=None)
    assert [one.grant.label for one in await book.list()] == ["b", "a"]
    clock.advance(10)
    assert [one.grant.label for one in await book.list()] == ["a"]
    assert [one.grant.label for one in await book.list(all_states=True)] == ["c", "b", "a"]
    assert [one.grant.label for one in await book.list(all_states=True, team="t")] == ["c", "a"]
    assert [one.grant.label for one in await book.list(all_states=True, owner="jane")] == ["b", "a"]
    assert [one.grant.label for one in await book.list(all_states=True, owner="JANE' OR '1'='1")] == []
    assert len(await book.list(all_states=True, limit=1)) == 1


async def test_whoever_has_seen_a_revision_sees_what_changed_after_it(book: KeyBook, peppers: Peppers, grant: Grant):
    first, _ = await book.create(grant, peppers)
    seen = await book.look_up(first.public_id)
    assert seen.revision == await book.revision()
    assert await book.changed_since(seen.revision) == []
    second, _ = await book.create(grant, peppers)
    await book.revoke(first.public_id, by="x", reason=None)
    assert sorted(await book.changed_since(seen.revision) or ()) == sorted([first.public_id, second.public_id])
    assert (await book.look_up("A" * 12)).key is None


async def test_more_changes_than_are_told_one_by_one_are_all(book, peppers, grant, monkeypatch):
    monkeypatch.setattr("llmgate_store.keys.book.MOST_CHANGES", 2)
    for _ in range(3):
        await book.create(grant, peppers)
    assert await book.changed_since(0) is None
    assert len(await book.changed_since(1) or ()) == 2


async def test_use_is_written_and_is_no_change(book: KeyBook, peppers: Peppers, grant: Grant):
    text, _ = await book.create(grant, peppers)
    revision = await book.revision()
    await book.note_used({})
    await book.note_used({text.public_id: 1_700_000_000.5, "A" * 12: 1.0})
    key = await book.find(text.public_id)
    assert key is not None
    assert key.last_used_at == 1_700_000_000.5
    assert await book.revision() == revision


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": ""},
        {"label": "a\nb"},
        {"owner": "x" * 201},
        {"kind": "team"},
        {"scopes": ["chats"]},
        {"models": ["a\x00"]},
        {"denied_models": [" "]},
        {"addresses": ["10.0.0.1/8"]},
        {"addresses": ["host"]},
        {"secrets": {"openai": "sk-proj-x"}},
        {"limits": (CallerLimit(0, 60.0),)},
        {"limits": (CallerLimit(1, None),)},
        {"limits": (CallerLimit(1, 60.0, "concurrent"),)},
        {"limits": (CallerLimit(1, 60.0, "euros"),)},
        {"models": ["x"] * 1001},
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="team" if "kind" in wrong else next(iter(wrong))):
        Grant(**{"label": "l", "owner": "o", "issued_by": "i", **wrong})
