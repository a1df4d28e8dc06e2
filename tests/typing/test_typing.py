"""The public API type-checks as users write it, and their mistakes do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(300)  # a cold cache takes mypy half a minute


@pytest.fixture(scope="module")
def found() -> set[tuple[str, int, str]]:
    """Every error that mypy finds in the files here, as file, line and code; one run for all."""
    targets = [str(path.relative_to(ROOT)) for path in sorted(HERE.glob("*/*.py"))]
    assert targets
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context", "--no-pretty", *targets],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert result.stderr == ""
    errors = re.findall(r"(?m)^(\S+?):(\d+): error: .*\[([\w-]+)\]$", result.stdout)
    assert len(errors) == result.stdout.count(": error:"), result.stdout
    return {(path, int(line), code) for path, line, code in errors}


def test_correct_code_passes(found):
    assert [error for error in found if "/accepted/" in error[0]] == []


def test_each_mistake_is_found_where_it_is(found):
    expected = {
        (str(path.relative_to(ROOT)), number, code)
        for path in HERE.glob("refused/*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for code in re.findall(r"# E: ([\w-]+)$", line)
    }
    assert {error for error in found if "/refused/" in error[0]} == expected
    assert len(expected) > 10


def test_no_error_is_anywhere_else(found):
    assert [error for error in found if "/typing/" not in error[0]] == []
