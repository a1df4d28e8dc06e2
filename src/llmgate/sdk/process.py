"""The one pipeline of this process, for programs that hold none: opened when it is first wanted, closed at exit."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmgate.pipeline.blocking import BlockingPipeline

if TYPE_CHECKING:
    from llmgate.pipeline.construction import Source

__all__ = ["close", "configure", "default_pipeline"]


class _Process:
    """What the process has: where its pipeline's configuration comes from, and the pipeline once it is open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.source: Source = None
        self.options: Mapping[str, Any] = {}
        self.pipeline: BlockingPipeline | None = None

    def forget(self) -> None:
        """Begin anew after a fork: a child has neither the loop's thread nor its connections."""
        self.lock = threading.RLock()
        self.pipeline = None


_process = _Process()


def configure(source: Source = None, **options: Any) -> None:
    """Say how the pipeline of this process is made; without it, by what the environment alone says.

    Args:
        source: A YAML file, a mapping of the same shape, or None for the environment.
        **options: As for ``Pipeline.from_config``.

    Raises:
        RuntimeError: the pipeline is open already.
    """
    with _process.lock:
        if _process.pipeline is not None:
            raise RuntimeError("the pipeline of this process is open already: call configure() first, or close() it")
        _process.source, _process.options = source, options


def default_pipeline() -> BlockingPipeline:
    """The open pipeline of this process, the same one for every caller and every thread.

    Raises:
        ConfigError: its configuration is wrong.
        PluginError: a stage cannot be opened.
    """
    with _process.lock:
        if _process.pipeline is None:
            pipeline = BlockingPipeline.from_config(_process.source, **_process.options)
            pipeline.open()
            _process.pipeline = pipeline
            atexit.unregister(close)
            atexit.register(close)
        return _process.pipeline


def close() -> None:
    """Close the pipeline of this process, records and all; the next use opens another one. Idempotent."""
    with _process.lock:
        pipeline, _process.pipeline = _process.pipeline, None
        if pipeline is not None:
            pipeline.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.forget)
