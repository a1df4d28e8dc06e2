"""A file of JSON lines that is asked for records: pages, single ones, and what they add up to."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from llmgate.spec import InvalidRequestError, Record, RecordFilter, RecordQuery, UsageQuery
from llmgate.stages.loggers.json_lines import line_of
from llmgate.stages.loggers.record_file import find_in_file, matches, read_from_file, tally_file
from llmgate.testing.samples import sample_record


def write(path: Path, *records: Record, more: bytes = b"") -> Path:
    path.write_bytes(b"".join(line_of(one) for one in records) + more)
    return path


def some(count: int) -> list[Record]:
    return [sample_record(id=f"r{number:04}", started_at=1000.0 + number, duration=1.0) for number in range(count)]


def test_pages_follow_each_other_without_gaps(tmp_path: Path):
    path = write(tmp_path / "r", *some(25), more=b'{"half":')
    seen: list[str] = []
    before = None
    while True:
        page = find_in_file(path, RecordQuery(limit=10, before=before))
        seen += [one.id for one in page.records]
        if not page.more:
            break
        before = (page.records[-1].started_at, page.records[-1].id)
    assert seen == [f"r{number:04}" for number in reversed(range(25))]


def test_a_file_that_is_not_there_has_no_records(tmp_path: Path):
    assert find_in_file(tmp_path / "no", RecordQuery()).records == []
    assert read_from_file(tmp_path / "no", "x") is None
    assert tally_file(tmp_path / "no", UsageQuery()).total.requests == 0


def test_blocks_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmgate.stages.loggers.record_file._BLOCK", 7)
    path = write(tmp_path / "r", *some(5))
    assert len(find_in_file(path, RecordQuery()).records) == 5


def test_one_is_found_by_the_beginning_of_its_id(tmp_path: Path):
    path = write(tmp_path / "r", *some(12))
    kept = read_from_file(path, "r0011")
    assert kept is not None
    assert kept.record.started_at == 1011.0
    assert read_from_file(path, "r0003") is not None
    assert read_from_file(path, "") is None
    with pytest.raises(InvalidRequestError, match="several"):
        read_from_file(path, "r001")


def test_a_record_that_was_written_twice_counts_once(tmp_path: Path):
    records = some(4)
    report = tally_file(write(tmp_path / "r", *records, *records), UsageQuery(by=("operation",)))
    assert report.total.requests == 4
    assert [row.tally.requests for row in report.rows] == [4]


def test_groups_are_ordered_and_limited(tmp_path: Path):
    records = [attrs.evolve(one, user=f"u{n}", cost_nano=n, started_at=n * 86400.0) for n, one in enumerate(some(5))]
    path = write(tmp_path / "r", *records)
    dearest = tally_file(path, UsageQuery(by=("user",), limit=2))
    assert ([row.group for row in dearest.rows], dearest.left_out) == ([("u4",), ("u3",)], 3)
    assert dearest.total.cost_nano == 10
    latest = tally_file(path, UsageQuery(by=("day", "property:x"), limit=2))
    assert latest.rows == []
    assert [row.group for row in tally_file(path, UsageQuery(by=("day",), limit=2)).rows] == [
        ("1970-01-04",),
        ("1970-01-05",),
    ]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        (RecordFilter(), True),
        (RecordFilter(since=5.0, until=6.0), True),
        (RecordFilter(since=5.1), False),
        (RecordFilter(until=5.0), False),
        (RecordFilter(status=4), True),
        (RecordFilter(status=429), True),
        (RecordFilter(status=5), False),
        (RecordFilter(owner=("static-keys", "ann")), True),
        (RecordFilter(owner=("other", "ann")), False),
        (RecordFilter(session_id="s"), True),
        (RecordFilter(session_id="t"), False),
        (RecordFilter(slower_than=3.0), False),
        (RecordFilter(equal={"user": "Ú", "property:env": "prod"}), True),
        (RecordFilter(equal={"property:env": "dev"}), False),
        (RecordFilter(equal={"team": ""}), True),
        (RecordFilter(text="ú"), True),
        (RecordFilter(text="nowhere"), False),
    ],
)
def test_filters(wanted: RecordFilter, meant: bool):
    record = sample_record(
        started_at=5.0,
        status=429,
        principal="ann",
        principal_issuer="static-keys",
        session_id="s",
        duration=2.0,
        user="Ú",
        properties={"env": "prod"},
        team=None,
    )
    assert matches(record, wanted) is meant
    assert not matches(attrs.evolve(record, operation="models"), wanted)
