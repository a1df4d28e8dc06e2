"""What guards a request is measured in CPU time of whole servers, from end to end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are no installed package

from benchmarks.cpu_time import added, measured
from benchmarks.targets import BARE


def test_what_guards_take_of_a_servers_processor_is_measured_from_end_to_end():
    found = measured(["plain", "all"], seconds=0.2, repetitions=1)
    assert [row.keys() for row in found] == [{BARE, "plain", "all"}]
    assert sum(found[0].values()) > 0


def test_what_is_added_is_the_median_of_the_repetitions():
    rows = [{BARE: 4.0, "plain": 5.0, "all": 5.0 + more} for more in (0.4, 2.0, 0.8)]
    assert added(rows) == {"all": pytest.approx(0.2)}
