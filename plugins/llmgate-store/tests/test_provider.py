"""Who has the key: on every database, across processes, while keys change, and while the database is away."""

from __future__ import annotations

import asyncio
import collections
import string
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
from hypothesis import given, settings, strategies as st
from llmgate_store.config import IssuedKeysConfig
from llmgate_store.errors import StoreUnavailableError
from llmgate_store.keys.book import KeyBook
from llmgate_store.keys.grant import Grant
from llmgate_store.keys.provider import IssuedKeys
from llmgate_store.keys.text import KeyText, checksum
from llmgate_store.watch import CHANNEL
from store_bench import FORMER, PEPPER, make_context

from llmgate.spec import AuthenticationError, Credentials, Peppers, Principal, SecretRef
from llmgate.stages.state.memory import Memory, MemoryConfig
from llmgate.testing.clock import FakeClock


def ask(stage: IssuedKeys, text: str, **fields: Any) -> Any:
    return stage.authenticate(Credentials(tokens={"authorization": text}, **fields))


async def refusal(stage: IssuedKeys, text: str, **fields: Any) -> str:
    with pytest.raises(AuthenticationError) as caught:
        await ask(stage, text, **fields)
    return caught.value.reason


class Statements:
    """What a stage says to its database."""

    def __init__(self, stage: IssuedKeys) -> None:
        self.all: list[tuple[str, Any]] = []
        assert stage._database is not None
        sa.event.listen(stage._database._open_engine.sync_engine, "before_cursor_execute", self._note)

    def _note(self, *said: Any) -> None:
        if said[2] != "BEGIN":
            self.all.append((said[2], said[3]))

    @property
    def lookups(self) -> int:
        return sum("LEFT OUTER JOIN issued_keys" in text for text, _ in self.all)


async def eventually(true: Callable[[], Any], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def is_refused(stage: IssuedKeys, text: str) -> bool:
    try:
        await ask(stage, text)
    except AuthenticationError:
        return True
    return False


async def test_a_key_says_who_has_it_and_what_it_allows(open_keys, book: KeyBook, peppers: Peppers):
    grant = Grant(
        label="ci", owner="build", issued_by="jane", kind="team", team="Search", scopes=["chat"],
        models=["openai/*"], denied_models=["*-preview"],
    )  # fmt: skip
    text, _ = await book.create(grant, peppers)
    principal = await ask(await open_keys(), text.text)
    assert principal == Principal(
        id=text.public_id, issuer="issued-keys", kind="team", models=["openai/*"], denied_models=("*-preview",),
        scopes=["chat"],
        attributes={"key": text.public_id, "label": "ci", "owner": "build", "team": "Search", "issued_by": "jane"},
    )  # fmt: skip


@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth"])
async def test_a_key_is_found_in_every_place(open_keys, book: KeyBook, peppers, grant, place: str):
    text, _ = await book.create(grant, peppers)
    stage = await open_keys()
    assert await stage.authenticate(Credentials(tokens={place: text.text})) is not None
    assert await stage.authenticate(Credentials(tokens={"cookie": text.text})) is None


async def test_a_known_key_costs_one_question_once(open_keys, book: KeyBook, peppers, grant):
    text, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=60)
    said = Statements(stage)
    await asyncio.gather(*(ask(stage, text.text) for _ in range(200)))
    assert said.lookups == 1
    for _ in range(100):
        await ask(stage, text.text)
    assert len(said.all) == 1


async def test_a_known_key_costs_one_hmac_and_no_wait(open_keys, book, peppers, grant, monkeypatch):
    text, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=60)
    await ask(stage, text.text)
    count = collections.Counter()
    assert stage._peppers is not None
    hash_of = stage._peppers.hash_of
    monkeypatch.setattr(stage._peppers, "hash_of", lambda *said: (count.update(["hmac"]), hash_of(*said))[1])
    with pytest.raises(StopIteration):  # it ends without giving the loop away
        ask(stage, text.text).send(None)
    assert count == {"hmac": 1}


async def test_a_wrong_checksum_asks_nobody(open_keys):
    stage = await open_keys(poll=60)
    said = Statements(stage)
    for _ in range(50):
        key = KeyText.new().text
        assert "is unknown" in await refusal(stage, key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert said.all == []


async def test_an_unknown_key_asks_once_and_works_when_it_is_made(open_keys, book, peppers, grant, monkeypatch):
    text = KeyText.new()
    stage = await open_keys(poll=0.05, unknown_for=3600)
    said = Statements(stage)
    for _ in range(20):
        assert "is unknown" in await refusal(stage, text.text)
    assert said.lookups == 1
    monkeypatch.setattr("llmgate_store.keys.book.KeyText.new", lambda: text)
    await book.create(grant, peppers)

    async def works() -> bool:
        return not await is_refused(stage, text.text)

    await eventually(works, 5)


async def test_all_refusals_look_alike_and_the_record_knows_why(open_keys, book: KeyBook, peppers, grant):
    stage = await open_keys()
    good, _ = await book.create(grant, peppers)
    revoked, _ = await book.create(grant, peppers)
    await book.revoke(revoked.public_id, by="x", reason=None)
    expired, _ = await book.create(attrs.evolve(grant, expires_at=1.0), peppers)
    body = f"sk-lg-{good.public_id}-{'0' * 32}"
    told = {}
    for name, text in {
        "unknown": KeyText.new().text,
        "revoked": revoked.text,
        "expired": expired.text,
        "another secret": body + checksum(body),
    }.items():
        with pytest.raises(AuthenticationError) as caught:
            await ask(stage, text)
        assert name in caught.value.reason
        assert text not in caught.value.reason
        told[name] = (str(caught.value), caught.value.code, caught.value.param, caught.value.retry_after)
    assert len(set(told.values())) == 1


def _counter(calls: collections.Counter[str]) -> Callable[..., None]:
    def count(_: object, event: str, what: object) -> None:
        if event in {"call", "c_call"}:
            calls[getattr(what, "__name__", event)] += 1

    return count


async def test_refusals_cost_alike(book: KeyBook, peppers, grant, open_keys):
    """The calls that a refusal takes, of Python's and of C's, do not tell why."""
    stage = await open_keys(poll=60, unknown_for=3600)
    revoked, _ = await book.create(grant, peppers)
    await book.revoke(revoked.public_id, by="x", reason=None)
    expired, _ = await book.create(attrs.evolve(grant, expires_at=1.0), peppers)
    good, _ = await book.create(grant, peppers)
    body = f"sk-lg-{good.public_id}-{'0' * 32}"
    costs = []
    for text in (KeyText.new().text, revoked.text, expired.text, body + checksum(body)):
        await refusal(stage, text)
        calls: collections.Counter[str] = collections.Counter()
        asking = stage.authenticate(Credentials.of(text))
        sys.setprofile(_counter(calls))
        try:
            asking.send(None)
        except AuthenticationError:
            pass
        finally:
            sys.setprofile(None)
        assert (calls["hmac_digest"], calls["compare_digest"]) == (1, 1), calls
        costs.append(sum(calls.values()))
    assert max(costs) - min(costs) <= 4, costs


async def test_a_key_of_another_gateway_is_left_to_the_next(open_keys):
    stage = await open_keys()
    for text in ("sk-lg-" + "a" * 43, "sk-proj-abc", "eyJhbGciOi.x.y", "", " "):
        assert await ask(stage, text) is None


async def test_a_key_with_another_pepper_is_refused_unless_it_is_a_former_one(open_keys, book, grant):
    text, _ = await book.create(grant, Peppers([FORMER.encode()]))
    assert "another secret" in await refusal(await open_keys(), text.text)
    stage = await open_keys(former_peppers=[SecretRef("env", "FORMER_PEPPER")])
    assert await ask(stage, text.text) is not None


async def test_an_address_is_looked_at(open_keys, book: KeyBook, peppers, grant):
    text, _ = await book.create(attrs.evolve(grant, addresses=["192.0.2.0/24"]), peppers)
    stage = await open_keys()
    assert await ask(stage, text.text, client_address="192.0.2.9") is not None
    assert "192.0.3.9" in await refusal(stage, text.text, client_address="192.0.3.9")
    assert "unknown address" in await refusal(stage, text.text)


async def test_two_keys_both_presented_the_good_one_counts(open_keys, book: KeyBook, peppers, grant):
    text, _ = await book.create(grant, peppers)
    stage = await open_keys()
    both = {"authorization": KeyText.new().text, "x-api-key": text.text}
    assert await stage.authenticate(Credentials(tokens=both)) is not None
    with pytest.raises(AuthenticationError):
        await stage.authenticate(Credentials(tokens={**both, "helicone-auth": KeyText.new().text}))


async def test_a_revoked_key_is_refused_by_every_process_within_a_second(open_keys, book, peppers, grant, tmp_path):
    """In seconds of the clock that the stages have, so that a busy machine does not count."""
    text, _ = await book.create(grant, peppers)
    clocks = [FakeClock() for _ in range(3)]
    stages = [await open_keys(make_context(tmp_path, clock=clock)) for clock in clocks]
    await asyncio.sleep(0)
    for stage in stages:
        await ask(stage, text.text)
    await book.revoke(text.public_id, by="x", reason=None)
    for stage, clock in zip(stages, clocks, strict=True):
        assert stage.config.poll <= 0.5
        clock.advance(stage.config.poll)
        await eventually(lambda stage=stage: is_refused(stage, text.text), 20)


async def test_a_change_that_is_told_is_noticed_at_once(open_keys, book, peppers, grant, tmp_path: Path):
    state = Memory(MemoryConfig())
    stage = await open_keys(make_context(tmp_path, state=lambda _: state), state="shared", poll=60)
    text, _ = await book.create(grant, peppers)
    await ask(stage, text.text)
    await book.revoke(text.public_id, by="x", reason=None)
    assert not await is_refused(stage, text.text)
    await state.publish(CHANNEL, b"keys")
    await eventually(lambda: is_refused(stage, text.text), 5)


async def test_rotation_in_a_burst_refuses_nobody_until_the_overlap_is_over(open_keys, book, peppers, grant):
    stage = await open_keys(poll=0.05)
    old, _ = await book.create(grant, peppers)
    stop = asyncio.Event()

    async def burst() -> int:
        count = 0
        while not stop.is_set():
            await ask(stage, old.text)
            count += 1
            await asyncio.sleep(0)
        return count

    running = asyncio.create_task(burst())
    new, _ = await book.rotate(old.public_id, peppers, overlap=3600)
    both = [await ask(stage, one.text) for one in (old, new)]
    assert both[0].id == both[1].id == old.public_id
    await asyncio.sleep(0.2)
    stop.set()
    assert await running > 0
    later, _ = await book.rotate(new.public_id, peppers, overlap=0)
    await eventually(lambda: is_refused(stage, new.text), 5)
    assert "replaced" in await refusal(stage, new.text)
    assert await ask(stage, later.text) is not None


async def test_a_key_that_expires_meanwhile_is_refused_although_it_is_remembered(
    open_keys, book, peppers, grant, tmp_path
):
    clock = FakeClock()
    stage = await open_keys(make_context(tmp_path, clock=clock))
    text, _ = await book.create(attrs.evolve(grant, expires_at=clock.now() + 60), peppers)
    await ask(stage, text.text)
    clock.shift_wall(60)
    assert "expired" in await refusal(stage, text.text)


async def test_what_was_read_before_a_change_is_not_kept_after_it(open_keys, book, peppers, grant, monkeypatch):
    """A look-up that is under way while the key is revoked must not outlive the notice of it."""
    text, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=60)
    assert stage._book is not None
    look_up = stage._book.look_up
    raced = asyncio.Event()

    async def slow(public_id: str) -> Any:
        seen = await look_up(public_id)
        if not raced.is_set():
            raced.set()
            await book.revoke(public_id, by="x", reason=None)
            await stage._look()
        return seen

    monkeypatch.setattr(stage._book, "look_up", slow)
    assert "revoked" in await refusal(stage, text.text)


async def test_while_the_database_is_away_known_keys_work_for_a_while(
    open_keys, book, peppers, grant, tmp_path, monkeypatch
):
    clock = FakeClock()
    stage = await open_keys(make_context(tmp_path, clock=clock), poll=0.5, stale_for=100.0)
    text, _ = await book.create(grant, peppers)
    await ask(stage, text.text)
    assert stage._book is not None

    async def away(*_: Any) -> Any:
        raise StoreUnavailableError("auth[0]: the database is not usable")

    with monkeypatch.context() as patch:
        patch.setattr(stage._book, "revision", away)
        patch.setattr(stage._book, "look_up", away)
        with pytest.raises(StoreUnavailableError) as caught:
            await ask(stage, KeyText.new().text)
        assert caught.value.status_code == 503
        await clock.advance(0.5)
        await clock.advance(99)
        assert await ask(stage, text.text) is not None
        await clock.advance(10)
        with pytest.raises(StoreUnavailableError, match="older than stale-for"):
            await ask(stage, text.text)

    async def back() -> bool:
        clock.advance(0.5)
        return not stage._down

    await eventually(back, 10)
    assert await ask(stage, text.text) is not None
    assert "is unknown" in await refusal(stage, KeyText.new().text)


async def test_use_is_written_now_and_then_and_at_the_end(open_keys, book: KeyBook, peppers, grant):
    text, key = await book.create(grant, peppers)
    stage = await open_keys(poll=60)
    await ask(stage, text.text)
    await stage.aclose()
    found = await book.find(text.public_id)
    assert found is not None
    assert found.last_used_at is not None
    assert found.last_used_at >= key.created_at


async def test_a_caller_who_leaves_does_not_take_the_look_up_along(open_keys, book: KeyBook, peppers, grant):
    text, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=60)
    first, second = (asyncio.create_task(ask(stage, text.text)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).id == text.public_id
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_flood_of_unknown_keys_is_bounded(open_keys):
    stage = await open_keys(poll=60, max_lookups=1, max_unknown=5)
    said = Statements(stage)
    answers = await asyncio.gather(*(ask(stage, KeyText.new().text) for _ in range(100)), return_exceptions=True)
    refused = collections.Counter(type(answer) for answer in answers)
    assert refused == {AuthenticationError: 10, StoreUnavailableError: 90}
    assert said.lookups == 10
    assert len(stage._memory) == 5


HOSTILE = (
    "' OR '1'='1", '" OR ""="', "'; DROP TABLE issued_keys; --", "1 UNION SELECT * FROM issued_keys", "%", "_", "%27",
    "${jndi:ldap://x}", "{{7*7}}", "../../etc/passwd", "\x00", "\r\nX-Evil: 1", "\udc80", "\U0001f511", "null", "true",
    "0x31", "1e999", "NaN", "*", "(", "[", "\\", "`id`", "$(id)", "<script>", "a" * 1_000_000, "sk-lg-", "Bearer",
)  # fmt: skip
"""What has broken gateways: injections, control bytes, patterns, sizes."""


async def test_five_thousand_hostile_credentials_are_refused_by_bound_parameters_alone(open_keys, book, peppers, grant):
    good, _ = await book.create(grant, peppers)
    stage = await open_keys(poll=60, max_lookups=100)
    said = Statements(stage)
    letters = string.ascii_letters + string.digits
    count = 0
    for number in range(5000):
        nasty = HOSTILE[number % len(HOSTILE)]
        public = (nasty + letters)[:12] if number % 3 else "".join(letters[(number * k) % 62] for k in range(1, 13))
        text = [
            nasty,
            f"sk-lg-{public}-{letters[:38]}",
            f"{good.text}{nasty}",
            f"{nasty}{good.text}",
            KeyText.new().text,
        ][number % 5]
        try:
            assert await ask(stage, text) is None
        except AuthenticationError as refused:
            assert text not in refused.reason  # noqa: PT017 - either way out is right
        count += 1
    assert count == 5000
    shapes = {text for text, _ in said.all}
    assert len(shapes) == 1, "one statement, whatever is presented"
    assert not [text for text, _ in said.all if good.public_id in text]
    assert await ask(stage, good.text) is not None
    assert len(await book.list(all_states=True)) == 1


@settings(max_examples=300, deadline=None)
@given(token=st.text(max_size=80) | st.from_regex(r"sk-lg-[0-9A-Za-z]{12}-[0-9A-Za-z]{38}", fullmatch=True))
def test_any_text_is_refused_or_left(token: str):
    """Without a database: what has no fitting checksum is judged without one."""
    stage = IssuedKeys(IssuedKeysConfig())
    stage._clock, stage._peppers = FakeClock(), Peppers([PEPPER.encode()])
    try:
        assert asyncio.run(ask(stage, token)) is None
    except AuthenticationError as refused:
        assert refused.reason  # noqa: PT017 - either way out is right
