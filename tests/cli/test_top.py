"""``llmgate top``: one frame as text, and a whole screen that q ends."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from llmgate.cli import main

from .recorded import place, some


def test_one_frame(here, capsys):
    place(here, *some())
    assert main(["top", "--once"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("llmgate top  ")
    assert "requests 6 " in shown
    assert "gpt-4o" in shown
    assert "0005-record" in shown


def test_a_quiet_gateway_has_a_frame_too(here, capsys):
    place(here)
    assert main(["top", "--once", "--by", "provider,outcome"]) == 0
    assert "requests 0 " in capsys.readouterr().out
    assert main(["top", "--once", "--window", "long"]) == 1
    assert "since: 'long' is no time" in capsys.readouterr().err


def test_q_ends_it_and_gives_the_terminal_back(here):
    place(here, *some())
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "TERM": "xterm"}
    program = [sys.executable, "-m", "llmgate", "top", "--every", "0.2"]
    with subprocess.Popen(program, cwd=here, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        seen, end = b"", time.monotonic() + 40
        while b"0005-record" not in seen and time.monotonic() < end:
            if select.select([ours], [], [], 0.5)[0]:
                seen += os.read(ours, 65536)
        assert b"\x1b[?1049h" in seen
        os.write(ours, b"q")
        while running.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:
                    break
        assert running.wait(10) == 0
    while select.select([ours], [], [], 0)[0]:
        try:
            seen += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    assert b"\x1b[?1049l" in seen
