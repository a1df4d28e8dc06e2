"""Vendors that speak no wire format of the gateway's, by way of the litellm library."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .adapter import LiteLLM

__all__ = ["LiteLLM", "llmgate_register_provider_adapters"]


@hookimpl
def llmgate_register_provider_adapters() -> type[LiteLLM]:
    """``litellm``."""
    return LiteLLM
