from __future__ import annotations

import pytest

from llmgate.telemetry.measurements import INSTRUMENTS
from llmgate.telemetry.totals import Totals
from telemetry.test_completing import measurements


def test_counters_stand_at_their_sums_under_each_set_of_labels() -> None:
    told, totals = measurements(), Totals()
    totals.add(told)
    for instrument in INSTRUMENTS:
        if not instrument.buckets:
            mine = [one for one in told if one.instrument is instrument]
            counted = totals.counted(instrument)
            assert sum(value for _, value in counted) == pytest.approx(sum(one.value for one in mine))
            assert len(counted) == len({tuple(one.labels) for one in mine})


def test_what_is_begun_anew_was_told_once_and_a_copy_does_not_change() -> None:
    told, totals = measurements(), Totals()
    totals.add(told)
    copy = totals.spreads()
    before = {name: [(labels, list(one.counts)) for labels, one in spreads] for name, spreads in copy.items()}
    totals.add(told)
    assert {name: [(labels, list(one.counts)) for labels, one in spreads] for name, spreads in copy.items()} == before
    values = sum(1 for one in told if one.instrument.buckets)
    assert (
        sum(sum(one.counts) for spreads in totals.spreads(begin_anew=True).values() for _, one in spreads) == 2 * values
    )
    assert totals.spreads() == {}
