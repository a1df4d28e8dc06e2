"""The adapter: requests in OpenAI's format, which a transport of its own hands to litellm."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import attrs

from llmgate.formats.adapter import FormatAdapter, build_request
from llmgate.spec import (
    AttemptCall,
    InvalidRequestError,
    Operation,
    PluginError,
    ProviderRequest,
    ProviderRow,
    StageContext,
    Transport,
)

from .bridge import Bridge
from .config import LiteLLMConfig
from .library import bring_in, let_go

__all__ = ["ROW", "LiteLLM"]

ROW: Final = ProviderRow(
    name="litellm",
    title="litellm",
    base_url="litellm://embedded",
    formats={"openai-chat": "/chat/completions", "openai-embeddings": "/embeddings"},
    adapter="litellm",
    models_path=None,
    source="https://docs.litellm.ai/docs/providers",
)


class LiteLLM(FormatAdapter[LiteLLMConfig]):
    """Any vendor that litellm knows."""

    name = "litellm"
    config_class = LiteLLMConfig
    operations = frozenset({Operation.CHAT, Operation.EMBEDDINGS})
    row = ROW

    def __init__(self, config: LiteLLMConfig) -> None:
        super().__init__(config)
        self._library: Any = None

    async def open(self, context: StageContext) -> None:  # noqa: ARG002 - nothing of it is needed
        """Import litellm, in a thread: it takes seconds.

        Raises:
            PluginError: it is not installed.
        """
        self._library = await asyncio.to_thread(bring_in)

    async def aclose(self) -> None:
        """Close litellm's connections."""
        library, self._library = self._library, None
        if library is not None:
            await let_go(library)

    def make_transport(self, context: StageContext) -> Transport:
        """The transport that calls litellm."""
        return Bridge(self.config, context, self._opened)

    def build_request(self, call: AttemptCall) -> ProviderRequest:
        """The request for a call; the model's name goes beside the body, which is relayed as it came.

        Raises:
            InvalidRequestError: the direct relay is asked for, which there is none of.
        """
        if call.relay is not None:
            raise InvalidRequestError("there is no direct relay to a vendor that is reached by way of litellm")
        model = call.deployment.model
        if not model.isascii() or not model.isprintable():
            raise InvalidRequestError("the model's name must be ASCII: write another", param="model")
        request = build_request(call)
        return attrs.evolve(request, headers={**request.headers, "x-llmgate-model": model})

    def _opened(self) -> Any:
        if self._library is None:
            raise PluginError("the adapter `litellm` is not open")
        return self._library
