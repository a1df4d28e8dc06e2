"""The names of the tests are the same in every process, so that they can be spread over several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def collecting(seed: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(420)
def test_collecting_twice_gives_the_same_tests_in_the_same_order() -> None:
    names = []
    for process in [collecting("1"), collecting("2")]:
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output[-2000:]
        names.append([line for line in output.splitlines() if "::" in line])
    first, second = names
    assert len(first) > 1000
    assert first == second
