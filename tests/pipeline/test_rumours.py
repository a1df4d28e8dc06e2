"""What processes tell each other of deployments that are left out."""

from __future__ import annotations

from typing import Any

import pytest

from llmgate.pipeline.outage import Outage
from llmgate.pipeline.rumours import MOST, Rumours, as_rumour


def test_an_outage_is_told_in_seconds_from_now_on() -> None:
    outage = Outage(since=100.0, until=160.0, trial=105.0, seen=100.0, why="it fails", share=0.75)
    told = as_rumour(outage, 103.0)
    assert told == {"until": 57.0, "trial": 2.0, "share": 0.75, "why": "it fails"}
    heard = Rumours(300.0).read(told, 5000.0)
    assert (heard.since, heard.until, heard.trial, heard.share, heard.why) == (5000.0, 5057.0, 5002.0, 0.75, "it fails")
    assert as_rumour(None, 103.0) is None


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"until": 1, "trial": 1, "share": 2, "why": ""},
        {"until": "nan", "trial": 1, "share": 1, "why": ""},
        {"until": float("inf"), "trial": 1, "share": 1, "why": ""},
        {"until": None, "trial": 1, "share": 1, "why": ""},
        [],
        "out",
    ],
)
def test_what_makes_no_sense_is_not_believed(told: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        Rumours(300.0).read(told, 0.0)


def test_nothing_is_believed_to_last_longer_than_it_would_here() -> None:
    heard = Rumours(300.0).read({"until": 1e9, "trial": 1e9, "share": 1, "why": "\x1b[2J" + "x" * 9999}, 0.0)
    assert (heard.until, heard.trial, heard.why) == (300.0, 300.0, "another process says so")


def test_what_is_kept_is_bounded_and_ends_with_its_time() -> None:
    rumours = Rumours(300.0)
    for number in range(MOST + 5):
        rumours.keep(str(number), Outage(0.0, 60.0, 5.0, 0.0, "x", 1.0), 0.0)
    assert rumours.take(str(MOST), 1.0) is None
    assert rumours.take("0", 1.0) is not None
    assert rumours.take("0", 1.0) is None, "it is told once"
    assert rumours
    assert rumours.take("1", 61.0) is None
    assert not rumours, "nothing is looked up any more"
