"""What every provider adapter promises, kept by ``litellm``, which writes OpenAI's format for its own transport."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from llmgate_litellm.adapter import ROW, LiteLLM

from llmgate.spec import ProviderRow
from llmgate.testing.conformance import ProviderConformance


@pytest.mark.usefixtures("litellm")
class TestLiteLLM(ProviderConformance):
    stage_class = LiteLLM
    golden = Path(__file__).parent / "golden"
    row: ClassVar[ProviderRow | None] = ROW
