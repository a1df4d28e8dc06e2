"""The last answers of a deployment, and their percentiles, in bounded memory."""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st

from llmgate.pipeline.latencies import KEPT, OLDEST, Latencies, Percentiles


def test_percentiles_are_times_that_were_measured() -> None:
    found = Percentiles.of([float(number) for number in range(100, 0, -1)])
    assert found is not None
    assert attrs.astuple(found) == (50.0, 95.0, 99.0)
    assert Percentiles.of([7.0]) == Percentiles(7.0, 7.0, 7.0)
    assert Percentiles.of([]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_so_many_of_a_hundred_were_no_slower(seconds: list[float]) -> None:
    found = Percentiles.of(seconds)
    assert found is not None
    for percent, value in zip((50, 95, 99), attrs.astuple(found), strict=True):
        assert value in seconds
        assert sum(one <= value for one in seconds) * 100 >= percent * len(seconds)
        assert sum(one < value for one in seconds) * 100 < percent * len(seconds)


def test_only_the_last_ones_are_kept() -> None:
    latencies = Latencies()
    for number in range(3 * KEPT + 5):
        latencies.add(float(number), number + 0.25, number + 0.5)
    first, total = latencies.recent(3 * KEPT + 5.0)
    assert sorted(total) == [number + 0.5 for number in range(2 * KEPT + 5, 3 * KEPT + 5)]
    assert sorted(first) == [number + 0.25 for number in range(2 * KEPT + 5, 3 * KEPT + 5)]


def test_what_is_old_says_nothing_any_more() -> None:
    latencies = Latencies()
    latencies.add(0.0, 1.0, 2.0)
    latencies.add(100.0, 3.0, 4.0)
    assert latencies.recent(OLDEST) == ([1.0, 3.0], [2.0, 4.0])
    assert latencies.recent(OLDEST + 1) == ([3.0], [4.0])
    assert latencies.recent(OLDEST + 101) == ([], [])
