"""Questions about records, as they are written: each word means something, or is refused by its name."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from llmgate.pipeline.record_queries import filter_of, next_cursor, read_moment, record_query, usage_query
from llmgate.spec import InvalidRequestError, RecordFilter

NOW = dt.datetime(2027, 1, 31, 15, 30, tzinfo=dt.UTC).timestamp()
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", NOW),
        ("7d", NOW - 7 * 86400),
        ("1h30m", NOW - 5400),
        ("today", NOW - 15.5 * 3600 - 3600),
        ("2027-01-31", NOW - 16.5 * 3600),
        ("2027-01-31T12:00", NOW - 4.5 * 3600),
        ("2027-01-31T12:00Z", NOW - 3.5 * 3600),
        ("1800000000.5", 1_800_000_000.5),
    ],
)
def test_moments(text: str, moment: float):
    assert read_moment(text, NOW, BERLIN) == moment


@pytest.mark.parametrize("text", ["", "soon", "7", "31.01.2027", "2027-13-01", "9" * 30, "-7d"])
def test_what_is_no_moment(text: str):
    with pytest.raises(ValueError, match="is no time"):
        read_moment(text, NOW, BERLIN)


def test_filters_are_read():
    asked = {
        "since": ["1d"],
        "model": ["m"],
        "user": [""],
        "property": ["Env=prod=1", "team=x"],
        "status": ["4xx"],
        "error": ["e"],
        "slower": ["500ms"],
        "text": ["t"],
        "housekeeping": ["true"],
    }
    assert filter_of(asked, NOW) == RecordFilter(
        since=NOW - 86400,
        equal={"model": "m", "user": "", "property:env": "prod=1", "property:team": "x"},
        status=4,
        error_code="e",
        slower_than=0.5,
        text="t",
        housekeeping=True,
    )
    assert filter_of({"status": ["429"]}, NOW).status == 429


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"colour": ["red"]}, "colour"),
        ({"limit": ["0"]}, "limit"),
        ({"limit": ["1001"]}, "limit"),
        ({"limit": ["٣"]}, "limit"),
        ({"since": ["soon"]}, "since"),
        ({"since": ["1h"], "until": ["2h"]}, "since"),
        ({"status": ["600"]}, "status"),
        ({"status": ["4x"]}, "status"),
        ({"slower": ["2"]}, "slower"),
        ({"property": ["env"]}, "property"),
        ({"property": ["=x"]}, "property"),
        ({"zone": ["Mars"]}, "zone"),
        ({"model": ["a", "b"]}, "model"),
        ({"text": ["x" * 2000]}, "text"),
        ({"cursor": ["!!"]}, "cursor"),
        ({"cursor": ["bmFuIHg"]}, "cursor"),
        ({"cursor": ["MS4w"]}, "cursor"),
        ({"by": ["model"]}, "by"),
    ],
)
def test_what_says_nothing_is_refused_by_its_name(asked: dict[str, list[str]], param: str):
    with pytest.raises(InvalidRequestError) as caught:
        record_query(asked, NOW)
    assert caught.value.param == param


def test_a_cursor_leads_behind_the_record_that_it_names():
    query = record_query({"cursor": [next_cursor(1.25, "id 1")], "limit": ["7"]}, NOW)
    assert (query.before, query.limit) == ((1.25, "id 1"), 7)


def test_dimensions_are_read():
    query = usage_query({"by": ["model, property:Env", "day"], "zone": ["Europe/Berlin"]}, NOW)
    assert (query.by, query.zone) == (("model", "property:env", "day"), BERLIN)
    assert usage_query({}, NOW).by == ()


@pytest.mark.parametrize("by", ["colour", "model,model", "day,hour", "property:", "model,user,team,key,client"])
def test_what_is_no_dimension_is_refused(by: str):
    with pytest.raises(InvalidRequestError) as caught:
        usage_query({"by": [by]}, NOW)
    assert caught.value.param == "by"
