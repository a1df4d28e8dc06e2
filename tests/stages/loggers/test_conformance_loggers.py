"""The built-in loggers keep what the kit asks of any."""

from __future__ import annotations

import json
import logging

import pytest

from llmgate.stages.loggers.json_lines import JsonLines, JsonLinesConfig
from llmgate.stages.loggers.python_logging import PythonLogging, PythonLoggingConfig
from llmgate.testing.conformance import LoggerConformance


class TestJsonLines(LoggerConformance):
    stage_class = JsonLines
    config = JsonLinesConfig(path="records.jsonl")

    def written(self, context):
        text = (context.directory / "records.jsonl").read_bytes().decode("ascii")
        lines = text.split("\n")
        assert lines.pop() == "", "the last line is ended"
        assert all(isinstance(json.loads(line), dict) for line in lines)
        return lines


class TestJsonLinesToStandardOutput(LoggerConformance):
    stage_class = JsonLines

    @pytest.fixture(autouse=True)
    def _captured(self, capsys):
        self.capsys = capsys

    def written(self, context):
        return self.capsys.readouterr().out.split("\n")[:-1]


class TestPythonLogging(LoggerConformance):
    stage_class = PythonLogging
    config = PythonLoggingConfig(logger="test.exchange")

    @pytest.fixture(autouse=True)
    def _caught(self, caplog):
        caplog.set_level(logging.INFO, logger="test.exchange")
        self.caplog = caplog

    def written(self, context):
        return [record.getMessage() for record in self.caplog.records if record.name == "test.exchange"]
