"""A record is plain JSON and comes back from it as it was, whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from llmgate.spec import AttemptRecord, Content, Record, RecordContent, StageTrace, TraceContext, Usage
from llmgate.testing.samples import sample_record

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WHOLE = st.integers(-(2**53), 2**53)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
OF_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "int": WHOLE,
    "float": NUMBER,
    "bool": st.booleans(),
    "str | None": st.none() | TEXT,
    "int | None": st.none() | WHOLE,
    "float | None": st.none() | NUMBER,
    "Mapping[str, str]": st.dictionaries(TEXT, TEXT, max_size=3),
}


def made(cls: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{one.name: OF_TYPE[str(one.type)] for one in attrs.fields(cls) if one.init})


for part in (Usage, TraceContext, StageTrace, Content):
    OF_TYPE[f"{part.__name__} | None"] = st.none() | made(part)
    OF_TYPE[f"Sequence[{part.__name__}]"] = st.lists(made(part), max_size=2).map(tuple)
OF_TYPE["RecordContent | None"] = st.none() | made(RecordContent)
OF_TYPE["Sequence[AttemptRecord]"] = st.lists(made(AttemptRecord), max_size=2).map(tuple)


@given(made(Record))
@settings(max_examples=200, deadline=None)
def test_a_record_comes_back_from_its_json(record: Record) -> None:
    value = record.as_json()
    assert Record.from_json(value) == record
    assert Record.from_json(json.loads(json.dumps(value))) == record


@given(made(Record))
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_every_field_and_what_follows_from_them(record: Record) -> None:
    plain = attrs.asdict(record, filter=lambda field, _: field.name != "encoded")
    derived = {"cost_usd", "cost_estimated", "time_per_token", "format"}
    value = record.as_json()
    assert json.dumps({name: one for name, one in value.items() if name not in derived}) == json.dumps(plain)
    assert derived < set(value)


def test_a_record_is_plain_json() -> None:
    record = sample_record(cost_nano=1_500, stages=(StageTrace("auth", "passed", 12),))
    value = json.loads(json.dumps(record.as_json()))
    assert (value["id"], value["format"], value["cost_usd"]) == (record.id, 1, "0.000001500")
    assert value["attempts"][0]["usage"]["input_tokens"] == 9
    assert value["stages"] == [{"stage": "auth", "verdict": "passed", "microseconds": 12}]
    fields = {one.name for one in attrs.fields(Record) if one.init}
    assert set(value) == fields | {"format", "cost_usd", "cost_estimated", "time_per_token"}


def test_what_a_newer_writer_adds_is_left_out() -> None:
    record = sample_record()
    value = {**record.as_json(), "colour": "blue"}
    value["attempts"] = [{**value["attempts"][0], "shape": {"round": True}}]
    value["usage"] = {**value["usage"], "smells": 3}
    assert Record.from_json(value) == record


def test_what_an_older_writer_did_not_know_has_its_default() -> None:
    value = sample_record().as_json()
    for name in ("format", "properties", "stages", "content", "user", "time_per_token"):
        del value[name]
    assert Record.from_json(value).properties == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format: version 2 is newer"),
        ({"format": "one"}, "format: 'one'"),
        ({"format": True}, "format: True"),
        ({"id": 7}, "id: must be str, not int"),
        ({"stream": 1}, "stream: must be bool, not int"),
        ({"status": True}, "status: must be int | None, not bool"),
        ({"duration": 10**400}, "duration: is too large"),
        ({"attempts": {}}, "attempts: must be a list"),
        ({"attempts": [7]}, r"attempts\[0\]: must be an object"),
        ({"usage": {"input_tokens": "9"}}, "usage.input_tokens: must be"),
        ({"metadata": {"a": 1}}, "metadata: must be an object of texts"),
        ({"properties": []}, "properties: must be an object of texts"),
        ({"content": {"request": {"text": "x"}}}, "content.request.size: is missing"),
    ],
)
def test_what_is_no_record_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("|", r"\|")):
        Record.from_json({**sample_record().as_json(), **changes})


def test_a_field_that_is_missing_is_named() -> None:
    value = sample_record().as_json()
    del value["surface"]
    with pytest.raises(ValueError, match="surface: is missing"):
        Record.from_json(value)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"stream": True, "usage": Usage(9, 11)}, 0.1),
        ({"stream": False, "usage": Usage(9, 11)}, None),
        ({"stream": True, "usage": Usage(9, 1)}, None),
        ({"stream": True, "usage": Usage(9, None)}, None),
        ({"stream": True, "usage": None}, None),
        ({"stream": True, "usage": Usage(9, 11), "first_content": None}, None),
    ],
)
def test_the_time_of_a_token_is_that_of_a_stream_behind_its_first(fields: dict[str, Any], seconds: float) -> None:
    record = sample_record(**{"duration": 1.2, "first_content": 0.2, **fields})
    assert record.time_per_token == (None if seconds is None else pytest.approx(seconds))


def test_content_is_not_shown_by_repr() -> None:
    record = sample_record(content=RecordContent(request=Content(5, text="c4n4ry")))
    assert "c4n4ry" not in repr(record)
