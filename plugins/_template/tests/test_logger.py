"""What is particular to ``example``."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from llmgate.spec import Record
from llmgate.testing import FakeClock
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record

from llmgate_example.config import ExampleLoggerConfig
from llmgate_example.logger import ExampleLogger


async def logged(directory: Path, record: Record, *columns: str) -> list[list[str]]:
    config = ExampleLoggerConfig(path="log.csv", columns=columns)
    stage = ExampleLogger(config)
    await stage.open(LoggerConformance().make_context(directory, FakeClock()))
    await stage.record(record)
    await stage.aclose()
    with (directory / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


async def test_the_columns_are_those_of_the_configuration(tmp_path: Path) -> None:
    record = sample_record(principal='Ann "the boss", Lee', usage=None)
    assert await logged(tmp_path, record, "principal", "status", "output_tokens") == [
        ["principal", "status", "output_tokens"],
        ['Ann "the boss", Lee', "200", ""],
    ]


async def test_a_file_that_is_there_is_continued(tmp_path: Path) -> None:
    await logged(tmp_path, sample_record(status=200), "status")
    assert await logged(tmp_path, sample_record(status=503), "status") == [["status"], ["200"], ["503"]]


@pytest.mark.parametrize("model", ["=1+1", "@SUM(A1)", "+1", "-1"])
async def test_nothing_is_a_formula(tmp_path: Path, model: str) -> None:
    table = await logged(tmp_path, sample_record(request_model=model), "request_model")
    assert table[1] == [f"'{model}"]


async def test_what_cannot_be_written_waits(tmp_path: Path) -> None:
    config = ExampleLoggerConfig(path="logs/log.csv", columns=["status"])
    stage = ExampleLogger(config)
    (tmp_path / "logs").mkdir()
    await stage.open(LoggerConformance().make_context(tmp_path, FakeClock()))
    (tmp_path / "logs").rename(tmp_path / "moved")
    await stage.record(sample_record())
    with pytest.raises(OSError, match=r"log\.csv"):
        await stage.flush()
    (tmp_path / "moved").rename(tmp_path / "logs")
    await stage.aclose()
    assert (tmp_path / "logs" / "log.csv").read_text() == "status\n200\n"


@pytest.mark.parametrize("columns", [[], ["id", "colour"]])
def test_a_column_that_no_record_has_is_refused(columns: list[str]) -> None:
    with pytest.raises(ValueError, match="list fields of a record"):
        ExampleLoggerConfig(path="log.csv", columns=columns)
