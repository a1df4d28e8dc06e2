"""Many requests, streams that are given up, and a receiver of records that is away: memory stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REQUESTS = int(os.environ.get("LLMGATE_REQUESTS", "8000"))
SECONDS = max(240, REQUESTS // 40)
MAY_GROW = 45
"""Megabytes: 2,048 records are kept in memory for who keeps up, at 14 kB each; half of all requests wait in the end."""


@pytest.mark.timeout(SECONDS)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_requests_and_an_outage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("steady.py")), str(REQUESTS), str(tmp_path)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS - 5,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["records"] >= REQUESTS, "what the receiver did not take is brought again"
    memory = told["memory"]
    before = memory[6]  # the receiver leaves here
    assert max(memory[6:]) - before < MAY_GROW, memory
    assert before - memory[2] < MAY_GROW / 3, memory
