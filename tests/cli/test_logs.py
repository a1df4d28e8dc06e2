"""``llmgate logs``: the latest records, filtered, as lines or as JSON, and those that come."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import attrs

from llmgate.cli import main
from llmgate.spec import Record
from llmgate.stages.loggers.json_lines import line_of

from .recorded import place, some


def test_the_latest_come_last(here, capsys):
    place(here, *some())
    assert main(["logs", "-n", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["0004-record", "0005-record"]
    assert "\x1b" not in lines[0]
    assert main(["logs", "--color", "always", "-n", "1"]) == 0
    assert "\x1b[" in capsys.readouterr().out


def test_they_are_filtered(here, capsys):
    place(here, *some())
    assert main(["logs", "--json", "--model", "claude", "--property", "env=prod", "--since", "1h"]) == 0
    found = [Record.from_json(json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert [one.id for one in found] == ["0001-record", "0003-record", "0005-record"]
    assert main(["logs", "--user", "nobody"]) == 0
    assert capsys.readouterr().out == ""


def test_pages_are_put_together(here, capsys, monkeypatch):
    monkeypatch.setattr("llmgate.cli.logs._PAGE", 4)
    place(here, *some(11))
    assert main(["logs", "-n", "10", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_what_says_nothing_is_refused(here, capsys):
    place(here)
    assert main(["logs", "--since", "soon"]) == 1
    assert "since: 'soon' is no time" in capsys.readouterr().err
    assert main(["logs", "-n", "0"]) == 0


def test_without_a_logger_that_can_be_asked_it_says_which(here, capsys):
    place(here, loggers=[])
    assert main(["logs"]) == 2
    assert "use: sql" in capsys.readouterr().err


def test_those_that_come_are_shown(here):
    records = some(2)
    place(here, records[0])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    program = [sys.executable, "-m", "llmgate", "logs", "--follow", "--json"]
    with subprocess.Popen(program, cwd=here, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            assert json.loads(running.stdout.readline())["id"] == "0000-record"
            young = attrs.evolve(records[1], started_at=time.time() + 0.5)
            with (here / "records.jsonl").open("ab") as file:
                file.write(line_of(young))
            assert json.loads(running.stdout.readline())["id"] == "0001-record"
        finally:
            running.kill()
