"""``llmgate show ID``: one exchange as a tree."""

from __future__ import annotations

import datetime as dt
import json

import attrs

from llmgate.cli import main
from llmgate.cli.record_words import Paint
from llmgate.cli.show import tree_of
from llmgate.spec import Content, Feedback, KeptRecord, RecordContent
from llmgate.testing.samples import sample_record

from .recorded import place, some


def test_a_record_is_shown_as_a_tree(here, capsys):
    place(here, *some())
    assert main(["show", "0003"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("0003-record  ok 200")
    assert "├─ stages\n│  └─ auth                     passed       12 µs" in shown
    assert "attempts" in shown
    assert "property env: prod" in shown


def test_as_json(here, capsys):
    place(here, *some())
    assert main(["show", "0003-record", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "0003-record"


def test_what_is_not_there_or_is_several(here, capsys):
    place(here, *some())
    assert main(["show", "zzz"]) == 1
    assert "there is no record zzz" in capsys.readouterr().err
    assert main(["show", "000"]) == 1
    assert "several records begin with 000" in capsys.readouterr().err
    assert main(["show", "0003", "--zone", "Mars"]) == 2
    assert "is no time zone" in capsys.readouterr().err


def test_every_line_is_harmless_and_complete():
    hostile = "x\x1b[31m\n"
    record = sample_record(
        user=hostile,
        outcome="error",
        status=502,
        error_code=hostile,
        error_message=hostile,
        metadata={hostile: hostile},
        properties={hostile: hostile},
        content=RecordContent(Content(5, text="hello"), None),
    )
    failed = attrs.evolve(record.attempts[0], error_code=hostile, error_message=hostile, abandoned=True, lost=True)
    record = attrs.evolve(record, attempts=[failed, record.attempts[0]])
    kept = KeptRecord(record, [Feedback("r", ("i", hostile), 0.0, "rating", False, hostile)])
    lines = list(tree_of(kept, Paint(False), dt.UTC))
    assert all(line.isprintable() for line in lines)
    assert any("rating: False by" in line for line in lines)
    assert sum("#" in line for line in lines) == 2


def test_content_is_shown_where_it_is_asked_for(here, capsys):
    (record, *_) = some()
    content = RecordContent(Content(9, text="line\none\x1b"), Content(3, text=None))
    place(here, attrs.evolve(record, content=content))
    assert main(["show", "0000", "--content"]) == 0
    shown = capsys.readouterr().out
    assert "--- request: 9 bytes, application/json\nline\none\\x1b" in shown
