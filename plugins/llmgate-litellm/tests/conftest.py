from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llmgate_litellm import library


class FakeLibrary:
    """The fake litellm, once the plugin has imported it."""

    @property
    def module(self) -> Any:
        return sys.modules["litellm"]


@pytest.fixture
def litellm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    """The fake library, where the plugin finds it; nothing of it is left afterwards."""
    before = dict(os.environ)
    for name in [name for name in sys.modules if name.partition(".")[0] == "litellm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fake"))
    monkeypatch.setattr(library, "_shared", library._Shared())
    for name in library._QUIET:
        os.environ.pop(name, None)
    yield FakeLibrary()
    sys.modules.pop("litellm", None)
    for name in library._QUIET:
        os.environ.pop(name, None)
    os.environ.update(before)
