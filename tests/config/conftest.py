"""The fixture that every test of this room uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.fakes import Loader


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    return Loader(tmp_path, monkeypatch)
