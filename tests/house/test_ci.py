"""What continuous integration runs: the checks and the README's test command, whose closing line comes last."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE_MAKE = """#!/bin/sh
echo "make $1" >> "$CALLS"
if [ "$1" = check ]; then exit {check}; fi
printf '%s\\n' 'tests/test_x.py ..' '{closing}'
exit {test}
"""


@pytest.mark.parametrize(
    ("check", "test", "closing", "status"),
    [
        (0, 0, "===== 812 passed in 61.20s (0:01:01) =====", 0),
        (0, 1, "===== 1 failed, 811 passed in 61.20s =====", 1),
        (1, 0, "===== 812 passed in 61.20s =====", 1),
        (0, 0, "===== 811 passed, 1 skipped in 61.20s =====", 1),
        (0, 2, "INTERNALERROR", 1),
    ],
)
def test_it_passes_when_everything_does_and_ends_with_the_closing_line(tmp_path, check, test, closing, status):
    make = tmp_path / "make"
    make.write_text(FAKE_MAKE.format(check=check, test=test, closing=closing))
    make.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls)}
    result = subprocess.run(
        [str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True, check=False, timeout=150
    )
    assert result.returncode == status, result.stdout + result.stderr
    assert calls.read_text() == "make check\nmake test\n"
    expected = closing if "passed" in closing else "the suite did not run to its end"
    assert result.stdout.splitlines()[-1] == expected
