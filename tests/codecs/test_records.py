"""Records as the JSON that is kept of them."""

from __future__ import annotations

import json

import attrs

from llmgate.codecs.records import written
from llmgate.spec import Content, Record, RecordContent
from llmgate.testing.samples import sample_record


def test_a_record_is_written_once_and_comes_back() -> None:
    record = sample_record(content=RecordContent(Content(3, text="čau")))
    line = written(record)
    assert written(record) is line
    assert Record.from_json(json.loads(line)) == record


def test_a_changed_record_is_written_anew_and_equality_does_not_see_it() -> None:
    record, same = sample_record(id="a"), sample_record(id="a")
    line = written(record)
    assert record == attrs.evolve(same, started_at=record.started_at)
    assert json.loads(written(attrs.evolve(record, user="ann")))["user"] == "ann"
    assert written(record) is line
