"""What every logger promises, kept with a double of Helicone's log endpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
from llmgate_helicone.config import HeliconeConfig
from llmgate_helicone.logger import HeliconeRecords

from llmgate.spec import ProviderRequest, ProviderResponse, StageContext
from llmgate.testing import AnsweringTransport, FakeClock
from llmgate.testing.conformance import LoggerConformance


class TestHelicone(LoggerConformance):
    stage_class = HeliconeRecords
    config = HeliconeConfig()
    secrets: ClassVar = {"env:HELICONE_API_KEY": "sk-canary"}

    @pytest.fixture(autouse=True)
    def _rows(self) -> None:
        self.rows: dict[str, str] = {}

    def make_context(self, directory: Path, clock: FakeClock) -> StageContext:
        return attrs.evolve(super().make_context(directory, clock), transport=AnsweringTransport(self._take))

    def written(self, context: StageContext) -> Sequence[str]:  # noqa: ARG002 - the rows are the test's
        return list(self.rows.values())

    def _take(self, request: ProviderRequest) -> ProviderResponse:
        assert request.url == "https://api.worker.helicone.ai/custom/v1/log"
        assert request.headers["authorization"] == "Bearer sk-canary"
        text = (request.body or b"").decode("ascii")
        self.rows[json.loads(text)["providerRequest"]["meta"]["Helicone-Request-Id"]] = text
        return ProviderResponse(200, {}, b"ok")
