"""``python -m benchmarks.instructions``: what limits, the cache and routing add to a request, in instructions.

Time on a machine that others use says little; the number of instructions hardly depends on them. Each program runs
under valgrind, which counts only while warm requests are answered.
The measure is the bare pass-through, a server; what is added is counted in one process, without sockets.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from benchmarks.guards import CASES, body
from benchmarks.payloads import ANSWER, KEY, PATH
from benchmarks.processes import ADDRESS, ROOT, Cpus
from benchmarks.targets import environment, upstream

__all__ = ["AIM", "added", "measured"]

AIM: Final = 0.15
"""The part of the bare pass-through's instructions that all of them together should add at most."""

COUNT: Final = 200
_SWITCH: Final = ("callgrind_control", "-i")
_COLLECTED: Final = re.compile(rb"Collected : (\d+)")
_PATIENCE: Final = 600.0


def _valgrind(directory: Path) -> list[str]:
    out = f"--callgrind-out-file={directory / 'callgrind.out'}"
    return ["valgrind", "--tool=callgrind", "--instr-atstart=no", out, sys.executable]


def _environment() -> Mapping[str, str]:
    # Hashes by chance would let the same program take different ways.
    return {**environment(), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONHASHSEED": "0"}


def _in_process(case: str, count: int) -> int:
    """Instructions of so many exchanges in ``guards.py``."""
    with tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory:
        command = [*_valgrind(Path(directory)), "-m", "benchmarks.guards", case, str(count), *_SWITCH]
        done = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, timeout=_PATIENCE, check=True)
    return _collected(done.stderr)


def _bare(count: int) -> int:
    """Instructions of a bare pass-through that answers so many requests."""
    with upstream(Cpus(None, None)) as provider, tempfile.TemporaryDirectory(prefix="llmgate-bench-") as directory:
        command = [*_valgrind(Path(directory)), "-m", "benchmarks.bare", f"http://127.0.0.1:{provider.port}{PATH}"]
        log = Path(directory) / "log"
        with log.open("wb") as errors, _ended(command, errors.fileno()) as process:
            assert process.stdout is not None
            found = ADDRESS.search(process.stdout.readline())
            assert found, log.read_text()
            _ask(int(found[1]), count)
            subprocess.run([*_SWITCH, "on", str(process.pid)], check=True, stdout=subprocess.DEVNULL)
            _ask(int(found[1]), count)
            subprocess.run([*_SWITCH, "off", str(process.pid)], check=True, stdout=subprocess.DEVNULL)
        return _collected(log.read_bytes())


@contextlib.contextmanager
def _ended(command: list[str], errors: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, stderr=errors)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)
    finally:
        process.kill()
        process.wait()


def _ask(port: int, count: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    for _ in range(count):
        connection.request("POST", PATH, body(), {"content-type": "application/json", "authorization": f"Bearer {KEY}"})
        if connection.getresponse().read() != ANSWER:
            raise AssertionError("a wrong answer")
    connection.close()


def _collected(said: bytes) -> int:
    found = _COLLECTED.search(said)
    assert found, said.decode(errors="replace")[-2000:]
    return int(found[1])


def measured() -> Mapping[str, float]:
    """Instructions for each request, by what is measured."""
    return {"bare": _bare(COUNT) / COUNT, **{case: _in_process(case, COUNT) / COUNT for case in CASES}}


def added(found: Mapping[str, float]) -> Mapping[str, float]:
    """What each case adds to a plain request, as a part of the bare pass-through."""
    return {case: (found[case] - found["plain"]) / found["bare"] for case in CASES if case != "plain"}


if __name__ == "__main__":
    figures = measured()
    print(json.dumps({"instructions": figures, "added": added(figures), "aim": AIM}, indent=1))
