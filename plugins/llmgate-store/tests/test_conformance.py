"""What every auth provider promises, kept by ``issued-keys`` on a file of SQLite's."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import ClassVar

import attrs
from llmgate_store.config import IssuedKeysConfig
from llmgate_store.database import Database
from llmgate_store.keys.book import KeyBook
from llmgate_store.keys.grant import Grant
from llmgate_store.keys.peppers import Peppers
from llmgate_store.keys.provider import IssuedKeys
from llmgate_store.keys.text import KeyText
from store_bench import PEPPER, make_context

from llmgate.spec import Credentials, StageContext
from llmgate.testing import FakeClock
from llmgate.testing.conformance import AuthConformance


async def _fill(context: StageContext) -> tuple[list[Credentials], list[Credentials]]:
    config = IssuedKeysConfig()
    database = await Database(config.database, context).open()
    book, peppers = KeyBook(database, context.clock), Peppers([PEPPER.encode()])
    grant = Grant(label="l", owner="jane", issued_by="root")
    good, _ = await book.create(grant, peppers)
    revoked, _ = await book.create(grant, peppers)
    await book.revoke(revoked.public_id, by="root", reason=None)
    expired, _ = await book.create(attrs.evolve(grant, expires_at=context.clock.now()), peppers)
    replaced, _ = await book.create(grant, peppers)
    await book.rotate(replaced.public_id, peppers, overlap=0)
    elsewhere, _ = await book.create(attrs.evolve(grant, addresses=("192.0.2.0/24",)), peppers)
    other = KeyText.new().text[-38:]
    forged = f"sk-lg-{good.public_id}-{other}"
    await database.aclose()
    bad = [one.text for one in (revoked, expired, replaced, elsewhere, KeyText.new())]
    return [Credentials.of(good.text)], [Credentials.of(text) for text in (*bad, forged, good.text[:-1] + "-")[:6]]


class TestIssuedKeys(AuthConformance):
    stage_class = IssuedKeys
    secrets: ClassVar = {"env:LLMGATE_KEY_PEPPER": PEPPER}
    strangers: ClassVar = (Credentials.of("sk-another-gateway"), Credentials.of("sk-lg-" + "a" * 43))

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        context = super().make_context(directory, clock)
        filled = attrs.evolve(make_context(directory, clock=clock))
        made: list[tuple[list[Credentials], list[Credentials]]] = []
        # In a thread: the kit makes its context where an event loop may run already.
        filling = threading.Thread(target=lambda: made.append(asyncio.run(_fill(filled))))
        filling.start()
        filling.join()
        type(self).valid, type(self).bad = made[0]  # type: ignore[misc]
        return context
