"""Records are found again: page by page, by what is in them, one by one, with content and feedback."""

from __future__ import annotations

import attrs
import pytest
from record_bench import NOON, make_records, meets, open_logger, put

from llmgate.spec import (
    ASSEMBLED,
    Content,
    Feedback,
    InvalidRequestError,
    RecordContent,
    RecordFilter,
    RecordQuery,
    StageContext,
)
from llmgate.testing.samples import sample_record

RECORDS = [attrs.evolve(one, started_at=NOON + number // 3) for number, one in enumerate(make_records(60))]

FILTERS = [
    RecordFilter(),
    RecordFilter(housekeeping=True),
    RecordFilter(since=NOON + 3, until=NOON + 9),
    RecordFilter(owner=("static-keys", "alice")),
    RecordFilter(equal={"model": "gpt-4o", "provider": "openai"}),
    RecordFilter(equal={"user": "čapek 🔑"}),
    RecordFilter(equal={"user": "", "property:env": "prod"}),
    RecordFilter(equal={"key": "k1", "client": "OpenAI/Python", "outcome": "ok"}),
]


@pytest.mark.parametrize("wanted", FILTERS)
async def test_pages_hold_each_record_once(url: str, context: StageContext, wanted: RecordFilter):
    logger = await open_logger(url, context)
    await put(logger, RECORDS)
    seen, before = [], None
    while True:
        page = await logger.find_records(RecordQuery(wanted, limit=7, before=before))
        seen += page.records
        if not page.more:
            break
        before = (page.records[-1].started_at, page.records[-1].id)
    meant = [one for one in RECORDS if meets(one, wanted)]
    assert seen == sorted(meant, key=lambda one: (one.started_at, one.id), reverse=True)
    await logger.aclose()


async def test_other_filters(url: str, context: StageContext):
    logger = await open_logger(url, context)
    record = sample_record(
        status=429,
        error_code="rate_limited",
        session_id="s",
        prompt_id="p",
        cache="hit",
        surface="openai",
        duration=2.0,
        error_message="100% ÄRGER_x!",
    )
    await put(logger, [record, sample_record()])
    for wanted, meant in [
        (RecordFilter(status=429), True),
        (RecordFilter(status=4), True),
        (RecordFilter(status=5), False),
        (RecordFilter(error_code="rate_limited", session_id="s", prompt_id="p", cache="hit"), True),
        (RecordFilter(session_id="S"), False),
        (RecordFilter(slower_than=1.9, surface="openai", text="ärger_X!"), True),
        (RecordFilter(slower_than=2.1), False),
        (RecordFilter(text="100%"), True),
        (RecordFilter(text="1%"), False),
        (RecordFilter(text="ärger-x"), False),
    ]:
        found = (await logger.find_records(RecordQuery(wanted))).records
        assert (record in found) is meant, wanted
    await logger.aclose()


async def test_one_is_found_by_the_beginning_of_its_id_with_all_that_is_kept(url: str, context: StageContext):
    logger = await open_logger(url, context)
    content = RecordContent(
        Content(4, "d" * 64, text="ask\n", format="openai-chat"),
        Content(2, text="no", truncated=True, redactions=1, format=ASSEMBLED),
    )
    record = sample_record(id="0190-aaaa", content=content)
    await put(logger, [record, sample_record(id="0190-bbbb"), sample_record(id="0190-aaab")])
    kept = await logger.read_record("0190-aaaa")
    assert kept is not None
    assert kept.record == record
    assert (await logger.read_record("0190-b")) is not None
    for unknown in ("", "1", "0190-%", "0190_aaaa", "x" * 70, "\x00", "0190-AAAA"):
        assert await logger.read_record(unknown) is None
    with pytest.raises(InvalidRequestError, match="several records begin with 0190-aaa"):
        await logger.read_record("0190-aaa")
    await logger.aclose()


async def test_feedback_replaces_what_the_same_caller_said_before(url: str, context: StageContext):
    logger = await open_logger(url, context)
    record = sample_record()
    await put(logger, [record])
    ann, bob = ("static-keys", "ann"), ("static-keys", "bob")
    await logger.keep_feedback([Feedback(record.id, ann, 1.0, "rating", False, "bad")])
    await logger.keep_feedback(
        [Feedback(record.id, ann, 2.0, "rating", True), Feedback(record.id, ann, 2.0, "tone", "ü")]
    )
    await logger.keep_feedback([Feedback(record.id, bob, 3.0, "rating", 0.5)])
    await logger.keep_feedback([])
    kept = await logger.read_record(record.id)
    assert kept is not None
    assert {(one.given_by[1], one.name, one.value, one.comment, one.given_at) for one in kept.feedback} == {
        ("ann", "rating", True, None, 2.0),
        ("ann", "tone", "ü", None, 2.0),
        ("bob", "rating", 0.5, None, 3.0),
    }
    await logger.aclose()
