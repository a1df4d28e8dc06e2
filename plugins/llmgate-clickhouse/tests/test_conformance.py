"""What every logger promises, kept with a double of the server that replaces rows by their key."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import attrs
import pytest
from llmgate_clickhouse.config import ClickHouseConfig
from llmgate_clickhouse.logger import ClickHouseRecords

from llmgate.spec import ProviderRequest, ProviderResponse, SecretRef, StageContext
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance


class TestClickHouse(LoggerConformance):
    stage_class = ClickHouseRecords
    config = ClickHouseConfig(url="https://clickhouse.test:8443", password=SecretRef("env", "PASSWORD"))
    secrets: ClassVar = {"env:PASSWORD": "canary-password"}

    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        self.rows: dict[str, str] = {}

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=AnsweringTransport(self._take))

    def written(self, context: StageContext) -> Sequence[str]:  # noqa: ARG002 - the rows are the test's
        return list(self.rows.values())

    def _take(self, request: ProviderRequest) -> ProviderResponse:
        assert request.headers["x-clickhouse-key"] == "canary-password"
        assert "canary" not in request.url
        if parse_qs(urlsplit(request.url).query)["query"] == ["INSERT INTO llmgate.exchanges FORMAT JSONEachRow"]:
            for line in gzip.decompress(request.body or b"").decode("ascii").splitlines():
                self.rows[json.loads(line)["id"]] = line
        return ProviderResponse(200, {}, b"")
