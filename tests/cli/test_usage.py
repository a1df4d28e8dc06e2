"""``llmgate usage``: requests added up, as a table, CSV, JSON or bars."""

from __future__ import annotations

import csv
import io
import json

from llmgate.cli import main

from .recorded import place, some


def test_a_table_with_a_total(here, capsys):
    place(here, *some())
    assert main(["usage", "--by", "model,user"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["MODEL", "USER", "REQUESTS"]
    assert {tuple(line.split()[:3]) for line in lines[1:3]} == {("gpt-4o", "=user0", "3"), ("claude", "=user1", "3")}
    assert lines[3].split()[:2] == ["total", "6"]
    assert "$0.009" in lines[3]


def test_csv_holds_no_formula(here, capsys):
    place(here, *some())
    assert main(["usage", "--by", "user,day", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["user"] for row in rows} == {"'=user0", "'=user1"}
    assert sum(int(row["requests"]) for row in rows) == 6
    assert rows[0]["cost_usd"].count(".") == 1


def test_json(here, capsys):
    place(here, *some())
    assert main(["usage", "--by", "property:env", "--json", "--model", "claude"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["by"] == ["property:env"]
    assert [(row["property:env"], row["requests"]) for row in answer["rows"]] == [("prod", 3)]


def test_bars(here, capsys):
    place(here, *some(5))
    assert main(["usage", "--plot", "requests"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("gpt-4o  " + "█" * 40)
    assert second.startswith("claude  " + "█" * 26)
    assert main(["usage", "--plot"]) == 0
    assert "$0.0045" in capsys.readouterr().out
    assert main(["usage", "--plot", "tokens", "--since", "1s"]) == 0
    assert capsys.readouterr().out == ""


def test_what_is_left_out_is_said(here, capsys):
    place(here, *some())
    assert main(["usage", "--by", "user", "--limit", "1"]) == 0
    assert "and 1 more: see --limit" in capsys.readouterr().out
    assert main(["usage", "--by", "colour"]) == 1
    assert "'colour' is no dimension" in capsys.readouterr().err
