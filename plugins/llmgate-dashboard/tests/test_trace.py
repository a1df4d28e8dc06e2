"""A request as a tree."""

from __future__ import annotations

import attrs
from llmgate_dashboard.trace import readable, steps_of

from llmgate.spec import Content, Record, StageTrace
from llmgate.testing.samples import sample_record


def sample(**fields: object) -> Record:
    record = sample_record()
    first = attrs.evolve(record.attempts[0], deployment="a/m", error_code="timeout", started=0.0, duration=1.0)
    second = attrs.evolve(record.attempts[0], deployment="b/m", error_code=None, started=1.0, duration=3.0)
    return attrs.evolve(record, duration=4.0, attempts=(first, second), **fields)


def test_attempts_stand_among_the_steps_with_what_was_said() -> None:
    stages = (
        StageTrace("auth", "passed", 90),
        StageTrace("attempt a/m", "timeout", 9),
        StageTrace("attempt b/m", "ok", 9),
    )
    steps = steps_of(sample(stages=stages))
    assert [(step.name, step.verdict, step.good) for step in steps] == [
        ("auth", "passed", True),
        ("attempt a/m", "timeout", False),
        ("attempt b/m", "ok", True),
    ]
    assert [(step.start, step.width) for step in steps[1:]] == [(0.0, 25.0), (25.0, 75.0)]
    assert dict(steps[1].facts)["Provider"]


def test_without_measured_steps_the_attempts_are_there() -> None:
    assert [step.name for step in steps_of(sample(stages=()))] == ["attempt a/m", "attempt b/m"]
    assert steps_of(sample_record(attempts=(), duration=0.0)) == []


def test_json_is_indented_where_it_is_whole() -> None:
    assert readable(Content(3, text='{"a":1}')) == '{\n  "a": 1\n}'
    for content in (Content(3, text='{"a":', truncated=True), Content(3, text="{"), Content(3, "", "text/plain", "{}")):
        assert readable(content) == content.text
    assert readable(Content(3)) == ""
