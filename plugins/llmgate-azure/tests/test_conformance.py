"""What every secret store promises, kept for tokens that a double of Microsoft's library gives, each for an hour."""

from __future__ import annotations

from typing import Any

import azure.core.exceptions
import llmgate_azure.entra
import pytest
from llmgate_azure.config import SCOPE, AzureEntraConfig
from llmgate_azure.entra import AzureEntra

from llmgate.spec import Secret, StageContext
from llmgate.testing.conformance import SecretConformance


class TestEntra(SecretConformance):
    stage_class = AzureEntra
    config = AzureEntraConfig(pause=0)
    path = "default"
    notices_within = 3601.0

    @pytest.fixture(autouse=True)
    def _double(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def ask(_: Any, scope: str) -> Secret:
            assert scope == SCOPE
            if not self.planted.get("default"):
                raise azure.core.exceptions.ClientAuthenticationError("no")
            return Secret(self.planted["default"], bearer=True, lifetime=3600.0)

        monkeypatch.setattr(llmgate_azure.entra, "_ask", ask)

    @property
    def planted(self) -> dict[str, str]:
        return self.__dict__.setdefault("_planted", {})

    def plant(self, context: StageContext, path: str, value: str) -> None:  # noqa: ARG002 - the kit's signature
        self.planted[path] = value

    def uproot(self, context: StageContext, path: str) -> None:  # noqa: ARG002 - the kit's signature
        del self.planted[path]
