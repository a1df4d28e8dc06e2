from __future__ import annotations

from pathlib import Path

from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import NoConfig
from llmgate.testing.conformance.providers import ProviderConformance


class Plain(FormatAdapter[NoConfig]):
    """The adapter as a plugin's author finds it."""

    name = "plain"
    config_class = NoConfig


class TestPlain(ProviderConformance):
    stage_class = Plain
    golden = Path(__file__).parents[2] / "golden" / "openai"
