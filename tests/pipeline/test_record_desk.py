"""Everybody sees his own records, and nobody another's; feedback is on what one may see."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from llmgate.pipeline.record_desk import RecordDesk, RecordNotFoundError, find_reader
from llmgate.spec import (
    Feedback,
    InvalidRequestError,
    KeptRecord,
    Principal,
    RecordPage,
    RecordQuery,
    RecordReader,
    SystemClock,
    Tally,
    UsageQuery,
    UsageReport,
)
from llmgate.testing import FakeClock
from llmgate.testing.samples import sample_record

ANN = Principal(id="ann", issuer="static-keys")
MINE = sample_record(id="abc-1", principal="ann", principal_issuer="static-keys")
ELSE = sample_record(id="abd-1", principal="ann", principal_issuer="other")


class Reader(RecordReader):
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.kept: list[Feedback] = []
        self.records = [MINE, ELSE]

    async def find_records(self, query: RecordQuery) -> RecordPage:
        self.asked.append(query.filter.owner)
        return RecordPage([], more=False)

    async def read_record(self, record_id: str) -> KeptRecord | None:
        found = [one for one in self.records if one.id.startswith(record_id)]
        if len(found) > 1:
            raise InvalidRequestError("several")
        return KeptRecord(found[0]) if found else None

    async def usage(self, query: UsageQuery) -> UsageReport:
        self.asked.append(query.filter.owner)
        return UsageReport([], Tally())

    async def keep_feedback(self, feedback: Sequence[Feedback]) -> None:
        self.kept += feedback


def desk(principal: Principal, reader: Reader | None = None, **fields: Any) -> RecordDesk:
    snapshot: Any = SimpleNamespace(loggers=[("a", object()), ("b", reader or Reader())])
    return RecordDesk(snapshot, principal, fields.get("clock") or SystemClock())


@pytest.mark.parametrize(
    ("principal", "sees_all"),
    [
        (ANN, False),
        (Principal(id="anonymous", kind="anonymous"), False),
        (Principal(id="t", kind="team"), False),
        (Principal(id="t", scopes=["chat", "records"]), False),
        (Principal(id="t", scopes=["usage"]), True),
        (Principal(id="t", scopes=["chat", "admin"]), True),
        (Principal(id="t", kind="admin"), True),
        (Principal.local(), True),
    ],
)
async def test_who_sees_everybodys(principal: Principal, sees_all: bool):
    reader = Reader()
    one = desk(principal, reader)
    await one.find(RecordQuery())
    await one.usage(UsageQuery())
    assert one.sees_all is sees_all
    assert reader.asked == [None if sees_all else (principal.issuer, principal.id)] * 2


async def test_anothers_record_is_not_there():
    assert (await desk(ANN).read("abc-1")).record is MINE
    for record_id in ("abd-1", "ab", "abc", "abc-2", ""):
        with pytest.raises(RecordNotFoundError, match="there is no record"):
            await desk(ANN).read(record_id)
    assert (await desk(Principal.local()).read("abc")).record is MINE
    with pytest.raises(InvalidRequestError, match="several"):
        await desk(Principal.local()).read("ab")


async def test_feedback_is_kept():
    reader, clock = Reader(), FakeClock()
    body = {"rating": True, "scores": {"helpful": 0.5, "tone": "warm"}, "comment": "fine"}
    assert await desk(ANN, reader, clock=clock).judge("abc-1", body) == 3
    assert {one.name: one.value for one in reader.kept} == {"rating": True, "helpful": 0.5, "tone": "warm"}
    assert {(one.given_by, one.given_at, one.comment) for one in reader.kept} == {
        (("static-keys", "ann"), clock.now(), "fine")
    }


async def test_feedback_waits_a_moment_for_the_record():
    reader = Reader()
    reader.records = []

    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            reader.records = [MINE]

    assert await desk(ANN, reader, clock=Clock()).judge("abc-1", {"rating": 1}) == 1


@pytest.mark.parametrize("record_id", ["abd-1", "abc", "zzz"])
async def test_feedback_on_what_one_may_not_see_is_refused(record_id: str):
    class Clock(SystemClock):
        async def sleep(self, seconds: float) -> None:
            pass

    with pytest.raises(RecordNotFoundError, match="helicone-id"):
        await desk(ANN, clock=Clock()).judge(record_id, {"rating": 1})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "scores"),
        ({"rating": None}, "scores"),
        ({"stars": 5}, "stars"),
        ({"scores": [1]}, "scores"),
        ({"scores": {"a b": 1}}, "scores"),
        ({"scores": {"a": None}}, "a"),
        ({"scores": {"a": [1]}}, "a"),
        ({"scores": {"a": 1e300}}, "a"),
        ({"scores": {"a": 10**400}}, "a"),
        ({"scores": {"a": float("inf")}}, "a"),
        ({"scores": {"a": "x" * 201}}, "a"),
        ({"scores": {f"s{number}": 1 for number in range(33)}}, "scores"),
        ({"rating": 1, "comment": 5}, "comment"),
        ({"rating": 1, "comment": "x" * 10_001}, "comment"),
    ],
)
async def test_what_is_no_judgement_is_refused(body: dict[str, Any], param: str):
    reader = Reader()
    with pytest.raises(InvalidRequestError) as caught:
        await desk(ANN, reader).judge("abc-1", body)
    assert caught.value.param == param
    assert reader.kept == []


def test_without_a_logger_that_can_be_asked_one_is_named():
    snapshot: Any = SimpleNamespace(loggers=[("a", object())])
    assert find_reader(snapshot) is None
    with pytest.raises(RecordNotFoundError, match="use: sql"):
        RecordDesk(snapshot, ANN, SystemClock())
