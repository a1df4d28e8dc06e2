"""Durations in buckets: near enough to the truth, and the same however they were put together."""

from __future__ import annotations

import random

import pytest

from llmgate.spec import Histogram, bucket_of


def test_buckets_grow_with_the_duration():
    assert [bucket_of(one) for one in (-1.0, 0.0, 0.0005, 0.001)] == [0] * 4
    assert bucket_of(0.0011) == 1
    assert bucket_of(1e9) == bucket_of(float("inf")) == 200
    assert bucket_of(float("nan")) == 0
    buckets = [bucket_of(0.001 * 1.03**step) for step in range(400)]
    assert buckets == sorted(buckets)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_percentiles_are_within_five_per_cent(share: float):
    dice = random.Random(1)
    durations = sorted(dice.lognormvariate(0, 1.5) for _ in range(5000))
    rank = max(0, min(len(durations) - 1, int(share * len(durations) + 0.999999) - 1))
    assert Histogram.of(durations).percentile(share) == pytest.approx(durations[rank], rel=0.05)


def test_parts_merge_to_the_whole():
    dice = random.Random(2)
    parts = [[dice.expovariate(1) for _ in range(100)] for _ in range(5)]
    whole = Histogram.of(one for part in parts for one in part)
    assert Histogram().merged(*(Histogram.of(part) for part in parts)) == whole
    assert whole.total == 500


def test_nothing_has_no_percentile():
    assert Histogram().percentile(0.5) is None
