"""A place to run commands in: an empty directory, and an environment without keys or settings."""

from __future__ import annotations

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
