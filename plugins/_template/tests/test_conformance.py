"""What every logger promises, kept by this one."""

from __future__ import annotations

from collections.abc import Sequence

from llmgate.spec import StageContext
from llmgate.testing.conformance import LoggerConformance

from llmgate_example.config import ExampleLoggerConfig
from llmgate_example.logger import ExampleLogger


class TestExampleLogger(LoggerConformance):
    stage_class = ExampleLogger
    config = ExampleLoggerConfig(path="exchanges.csv")

    def written(self, context: StageContext) -> Sequence[str]:
        text = (context.directory / "exchanges.csv").read_text(encoding="utf-8")
        return text.split("\n")[1:-1]
