"""What an address asks, and what the gateway is asked for it."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from llmgate_dashboard.questions import EXPLORED, NARROWED, RANGES, Question

from llmgate.spec import InvalidRequestError, period_of

NOON = dt.datetime(2026, 10, 25, 12, 30, tzinfo=dt.UTC).timestamp()
"""The day on which Berlin's clocks go back."""


def test_fields_that_are_empty_ask_nothing_and_others_are_kept_in_links() -> None:
    question = Question.read({"range": ["7d"], "model": [" a&b "], "user": [""], "x": ["1"]}, NARROWED)
    assert question.narrow == {"model": "a&b"}
    assert question.words("UTC") == {"zone": ["UTC"], "model": ["a&b"]}
    assert question.link(by="user") == "?range=7d&by=user&model=a%26b"
    assert question.link(model=None, range=None) == ""
    assert Question.read({"live": ["off"]}, EXPLORED).link(live=None) == ""


@pytest.mark.parametrize("query", [{"range": ["1y"]}, {"by": ["colour"]}, {"by": ["property:"]}])
def test_what_there_is_not_is_refused(query: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidRequestError):
        Question.read(query, NARROWED)


@pytest.mark.parametrize("zone", [dt.UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")])
@pytest.mark.parametrize("span", RANGES.values(), ids=list(RANGES))
def test_every_part_of_a_time_is_there_once_in_order_also_when_clocks_change(span, zone) -> None:
    beginnings, labels = span.beginnings(NOON, zone), span.labels(NOON, zone)
    assert len(set(labels)) == len(labels) == span.count
    assert list(beginnings) == sorted(set(beginnings))
    assert labels[-1] == period_of(NOON, span.period, zone)
    assert [period_of(moment, span.period, zone) for moment in beginnings] == list(labels)
