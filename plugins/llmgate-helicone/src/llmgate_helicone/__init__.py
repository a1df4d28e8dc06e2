"""Records in Helicone."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .logger import HeliconeRecords

__all__ = ["HeliconeRecords", "llmgate_register_loggers"]


@hookimpl
def llmgate_register_loggers() -> type[HeliconeRecords]:
    """``helicone``."""
    return HeliconeRecords
