"""The same user, principal or session to the same deployment, so that the provider's prompt cache survives."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .strategy import StickyStrategy

__all__ = ["StickyStrategy", "llmgate_register_routing_strategies"]


@hookimpl
def llmgate_register_routing_strategies() -> type[StickyStrategy]:
    """``sticky``."""
    return StickyStrategy
