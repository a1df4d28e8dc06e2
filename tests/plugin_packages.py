"""Packages made by ``llmgate plugins new``, for the tests that look at what was made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from llmgate.cli import main
from llmgate.spec import KINDS, StageKind

ROOT = Path(__file__).parents[1]
KIND_IDS = [kind.id for kind in KINDS]


def make(kind: StageKind | str, name: str, directory: Path) -> Path:
    """Make a package in a folder that is not there yet."""
    kind_id = kind if isinstance(kind, str) else kind.id
    assert main(["plugins", "new", kind_id, name, "--directory", str(directory)]) == 0
    return directory


def run(arguments: Sequence[str], directory: Path, *, seconds: float = 150, path: Sequence[Path] = ()) -> str:
    """Run a Python module in a process of its own and return what it prints; it must end well."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(str(one) for one in (*path, ROOT / "src", *_borrowed())),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what a package's own tests need is named, the rest takes a second
    }
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _borrowed() -> list[str]:
    """What this process was told to import from, beside its own packages."""
    return [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
