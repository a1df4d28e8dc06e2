"""Exchanges of llmgate as lines of CSV."""

from __future__ import annotations

from llmgate.spec import hookimpl

from .logger import ExampleLogger

__all__ = ["ExampleLogger", "llmgate_register_loggers"]


@hookimpl
def llmgate_register_loggers() -> type[ExampleLogger]:
    """``example``."""
    return ExampleLogger
