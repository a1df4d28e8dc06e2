"""A dashboard in the host: requests, spend, latency and errors over time, and each request with its trace."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .dashboard import Dashboard

__all__ = ["Dashboard", "llmgate_register_pages"]


@hookimpl
def llmgate_register_pages() -> type[Dashboard]:
    """``dashboard``."""
    return Dashboard
