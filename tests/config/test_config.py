from __future__ import annotations

import subprocess
import sys

import pytest

from llmgate import config


def test_every_name_of_the_room_can_be_had() -> None:
    assert [name for name in config.__all__ if not callable(getattr(config, name))] == []


def test_another_name_cannot() -> None:
    with pytest.raises(AttributeError, match="no attribute 'dump'"):
        _ = config.dump  # type: ignore[attr-defined]


def test_its_values_come_without_the_yaml_reader() -> None:
    """A worker that gets its configuration as values need not import what reads files."""
    code = "import sys, llmgate.config.model; print([name for name in ('ruamel', 'cattrs') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert done.stdout == "[]\n"
