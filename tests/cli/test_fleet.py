"""The health of deployments as all workers of a gateway see it together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmgate.cli.fleet import merged, seen_by
from scripted import MESSAGES, OpenBench, bench, completion, failure

__all__ = ["bench"]


def view(state: str = "closed", *, times: Any = ((), ()), **fields: Any) -> dict[str, Any]:
    out = state != "closed"
    return {
        "id": "a/m",
        "instance": "00000000",
        "state": state,
        "reason": "it failed" if out else None,
        "out_since": "2026-11-21T12:00:00.000+00:00" if out else None,
        "trial_at": "2026-11-21T12:00:05.000+00:00" if out else None,
        "probe": None,
        "dead": False,
        "requests": 10,
        "errors": 1,
        "error_rate": 0.1,
        "answers": len(times[1]),
        "first_content_seconds": None,
        "total_seconds": None,
        "times": [list(one) for one in times],
        **fields,
    }


def test_counts_are_added_and_percentiles_are_those_of_all_answers():
    quick, slow = ([0.1] * 90, [0.2] * 90), ([5.0] * 10, [9.0] * 10)
    (one,) = merged([{"worker": 1, "data": [view(times=quick)]}, {"worker": 2, "data": [view(times=slow)]}])
    assert (one["requests"], one["errors"], one["error_rate"], one["answers"]) == (20, 2, 0.1, 100)
    assert one["first_content_seconds"] == {"p50": 0.1, "p95": 5.0, "p99": 5.0}
    assert one["total_seconds"] == {"p50": 0.2, "p95": 9.0, "p99": 9.0}
    assert (one["state"], one["workers"], one["left_out_by"]) == ("closed", [1, 2], [])
    assert "times" not in one


def test_the_worst_state_is_shown_with_who_sees_it():
    later = view("open", trial_at="2026-11-21T12:00:09.000+00:00", reason="still", dead=True)
    workers = [
        {"worker": 1, "data": [view()]},
        {"worker": 2, "data": [view("half-open")]},
        {"worker": 3, "data": [view("open")]},
        {"worker": 4, "data": [later]},
        {"worker": 5, "data": None},
    ]
    (one,) = merged(workers)
    assert (one["state"], one["reason"], one["trial_at"]) == ("open", "still", "2026-11-21T12:00:09.000+00:00")
    assert (one["workers"], one["left_out_by"], one["dead"]) == ([1, 2, 3, 4], [2, 3, 4], True)


def test_deployments_of_one_name_at_different_places_stay_apart():
    other = view(instance="11111111")
    found = merged([{"worker": 1, "data": [other, view()]}, {"worker": 2, "data": [view()]}])
    assert [(one["instance"], one["requests"]) for one in found] == [("00000000", 20), ("11111111", 10)]
    assert merged([]) == []


async def test_what_a_process_knows_can_be_sent_and_merged(bench: OpenBench) -> None:
    async with bench(completion("x"), failure(503), completion("y")) as b:
        for _ in range(2):
            await b.pipeline.complete(model="m", messages=MESSAGES, router="main")
        seen = json.loads(json.dumps(seen_by(b.pipeline)))
    found = merged([{"worker": 1, "data": seen}, {"worker": 2, "data": seen}])
    assert [one["id"] for one in found] == ["alpha/m", "beta/m"]
    assert [one["requests"] for one in found] == [2 * one["requests"] for one in seen]
    assert found[0]["total_seconds"] == seen[0]["total_seconds"]


@pytest.mark.parametrize("workers", [[{"worker": 1, "data": None}], []])
def test_nobody_who_says_anything_is_nothing(workers: Any) -> None:
    assert merged(workers) == []
