"""A place to run commands in: an empty directory, and an environment without keys or settings."""

from __future__ import annotations

import logging
import os

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory of the command."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_TOKEN", "_ACCESS_KEY")) or name.startswith(("LLMGATE__", "AI_GATEWAY__")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_logging():
    """Logging as it was before, after the test."""
    names = ("", "llmgate", "llmgate.access", "py.warnings")
    before = {name: logging.getLogger(name).__dict__.copy() for name in names}
    yield
    logging.captureWarnings(capture=False)
    for name, state in before.items():
        logging.getLogger(name).__dict__.update(state)
        logging.getLogger(name).manager._clear_cache()
