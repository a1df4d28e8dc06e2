"""Answers questions again that mean the same as one that was answered before, for the same caller and nobody else."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .interceptor import SemanticCache

__all__ = ["SemanticCache", "llmgate_register_interceptors"]


@hookimpl
def llmgate_register_interceptors() -> type[SemanticCache]:
    """``semantic-cache``."""
    return SemanticCache
