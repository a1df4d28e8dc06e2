"""The names of the tests are the same in every process, so that they can be spread over several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names(seed: str) -> list[str]:
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout[-2000:]
    return [line for line in collected.stdout.splitlines() if "::" in line]


def test_collecting_twice_gives_the_same_tests_in_the_same_order() -> None:
    first, second = names("1"), names("2")
    assert len(first) > 1000
    assert first == second
