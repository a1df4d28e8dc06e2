"""What can be asked of a logger: which questions are plain, and what one that keeps no feedback says."""

from __future__ import annotations

import pytest

from llmgate.spec import (
    Feedback,
    InvalidRequestError,
    KeptRecord,
    RecordFilter,
    RecordPage,
    RecordQuery,
    RecordReader,
    UsageQuery,
    UsageReport,
)
from llmgate.spec.tallies import Tally
from llmgate.testing.samples import sample_record


class Forgetful(RecordReader):
    async def find_records(self, query: RecordQuery) -> RecordPage:
        return RecordPage([], more=False)

    async def read_record(self, record_id: str) -> KeptRecord | None:
        return None

    async def usage(self, query: UsageQuery) -> UsageReport:
        return UsageReport([], Tally())


def test_a_filter_knows_whether_it_is_plain():
    assert RecordFilter(since=1.0, until=2.0, equal={"user": "a"}).only_equal
    assert not RecordFilter(session_id="s").only_equal
    assert not RecordFilter(housekeeping=True).only_equal


def test_a_kept_record_shows_what_is_thought_of_it():
    said = Feedback("r", ("static-keys", "ann"), 5.0, "rating", True, "good")
    shown = KeptRecord(sample_record(id="r"), [said]).as_json()
    assert shown["id"] == "r"
    assert shown["feedback"] == [
        {"name": "rating", "value": True, "comment": "good", "given_by": "ann", "given_at": 5.0}
    ]


async def test_a_logger_that_keeps_no_feedback_says_so():
    with pytest.raises(InvalidRequestError, match="use: sql"):
        await Forgetful().keep_feedback([])
