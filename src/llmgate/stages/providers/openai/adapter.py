"""The adapter of every vendor whose wire format is known: nearly all of them, since a vendor is a row of data."""

from __future__ import annotations

from llmgate.formats.adapter import FormatAdapter
from llmgate.spec import NoConfig

__all__ = ["OpenAIAdapter"]


class OpenAIAdapter(FormatAdapter[NoConfig]):
    """OpenAI, and every vendor whose row says no other adapter."""

    name = "openai"
    config_class = NoConfig
