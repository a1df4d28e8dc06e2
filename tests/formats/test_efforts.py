from __future__ import annotations

from llmgate.formats.efforts import effort_above, effort_below


def test_the_nearest_effort_below():
    assert effort_below("max", ("low", "high")) == "high"
    assert effort_below("none", ("low", "high")) == "low"
    assert effort_below("minimal", ("none", "low")) == "none"
    assert effort_below("high", ()) is None
    assert effort_below("odd", ("low",)) is None


def test_the_nearest_effort_above():
    assert effort_above("minimal", ("low", "high")) == "low"
    assert effort_above("max", ("low", "medium", "high")) == "high"
    assert effort_above("odd", ("low", "high")) is None
    assert effort_above("low", ()) is None
    assert effort_above("none", ("low",)) is None
