"""Issued keys as another process gets them: all of them in pages, then what changes, and a word when nobody can say."""

from __future__ import annotations

import asyncio

import attrs
import pytest
from llmgate_store import StoreUnavailableError
from llmgate_store.keys import book as book_module

from llmgate.spec import KeyBook, SharedKey


async def everything(stage: KeyBook, after: int | None = None) -> tuple[int, dict[str, SharedKey]]:
    page = await stage.read_keys(after)
    revision, found = page.revision, {key.id: key for key in page.keys}
    while page.cursor is not None:
        page = await stage.read_keys(after, page.cursor)
        found.update((key.id, key) for key in page.keys)
    return revision, found


async def test_all_keys_that_work_come_in_pages(open_keys, book, peppers, grant, monkeypatch):
    monkeypatch.setattr(book_module, "PAGE", 3)
    made = [await book.create(grant, peppers) for _ in range(8)]
    await book.revoke(made[0][0].public_id, by="root", reason=None)
    stage = await open_keys()
    assert isinstance(stage, KeyBook)
    revision, found = await everything(stage)
    assert revision == await book.revision()
    assert sorted(found) == sorted(text.public_id for text, _ in made[1:])
    text, key = made[1]
    shared = found[text.public_id]
    assert shared.hash == peppers.hash_of(text.text)
    assert shared.pepper_id == peppers.current
    assert shared.principal == key.principal()
    assert text.text not in repr(found)


async def test_changes_come_with_those_that_are_revoked(open_keys, book, peppers, grant):
    old, _ = await book.create(attrs.evolve(grant, addresses=("192.0.2.0/24",), expires_at=5e9), peppers)
    kept, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=0.05)
    before, _ = await everything(stage)
    waiting = asyncio.create_task(stage.await_change(before))
    await asyncio.sleep(0.15)
    assert not waiting.done()
    new, _ = await book.rotate(kept.public_id, peppers, overlap=60)
    await book.revoke(old.public_id, by="root", reason=None)
    async with asyncio.timeout(20):
        while await stage.await_change(before) < await book.revision():  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.02)
    assert await waiting > before
    _, found = await everything(stage, before)
    assert set(found) == {old.public_id, kept.public_id, new.public_id}
    assert found[old.public_id].principal is None
    assert list(found[old.public_id].addresses or ()) == ["192.0.2.0/24"]
    assert found[old.public_id].ends_at == 5e9
    assert found[kept.public_id].ends_at is not None, "it ends with the overlap"
    assert found[new.public_id].principal is not None


async def test_a_stage_that_is_closed_says_that_it_cannot_say(open_keys):
    stage = await open_keys(poll=0.05)
    revision = await stage.await_change(-1)
    waiting = asyncio.create_task(stage.await_change(revision))
    await asyncio.sleep(0)
    await stage.aclose()
    with pytest.raises(StoreUnavailableError):
        await waiting
    with pytest.raises(StoreUnavailableError):
        await stage.read_keys()
