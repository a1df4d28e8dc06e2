"""The adapter of Amazon Bedrock with a bearer key; the plugin ``llmgate-bedrock`` signs instead."""

from __future__ import annotations

from llmgate.formats.bedrock_anthropic.invoking import InvokingAdapter
from llmgate.spec import NoConfig

__all__ = ["BedrockAdapter"]


class BedrockAdapter(InvokingAdapter[NoConfig]):
    """Amazon Bedrock, its key as a bearer token."""

    name = "bedrock"
    config_class = NoConfig
