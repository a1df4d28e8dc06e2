"""The built-in state store keeps what the kit asks of any."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmgate.stages.state.memory import Memory
from llmgate.stages.state.sqlite import Sqlite, SqliteConfig
from llmgate.testing.conformance import StateConformance


class TestMemory(StateConformance):
    stage_class = Memory


class TestSqlite(StateConformance):
    stage_class = Sqlite

    @pytest.fixture(autouse=True)
    def _in_a_directory(self, tmp_path: Path) -> None:
        self._directory = tmp_path

    def make_config(self) -> SqliteConfig:
        return SqliteConfig(path=self._directory / "state.db", poll_interval=0.01)
