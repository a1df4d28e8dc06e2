"""``llmgate serve`` as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import servers

START_SECONDS = 90


class Gateway:
    """A running ``llmgate serve``.

    Args:
        directory: Where it is started.
        arguments: After ``serve``.
        environment: Beside PATH.
        python: The interpreter.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        source = str(Path(__file__).parents[2] / "src")
        self.directory = directory
        self.process = subprocess.Popen(
            [
                python,
                "-W",
                "error::ResourceWarning",
                "-m",
                "llmgate",
                "serve",
                "--port",
                "0",
                *servers.arguments(),
                *arguments,
            ],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": source, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.lines)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.errors)),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(pipe, lines: list[str]) -> None:
        with pipe:
            for line in iter(pipe.readline, ""):
                lines.append(line.rstrip("\n"))  # noqa: PERF401 - the other thread reads as they come

    def wait_ready(self, seconds: float = START_SECONDS) -> Gateway:
        deadline = time.monotonic() + seconds
        while not any(line.startswith("try: ") for line in self.lines):
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, (self.lines, self.errors)
            time.sleep(0.01)
        return self

    @property
    def url(self) -> str:
        found = re.search(r"https?://\S+:\d+", self.lines[0])
        assert found, self.lines
        return found[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def line(self, start: str) -> str:
        return next(line for line in self.lines if line.startswith(start))

    def wait_line(self, part: str, seconds: float = 30) -> str:
        return self._wait_for(self.lines, part, seconds)

    def wait_error(self, part: str, seconds: float = 60, *, after: int = 0) -> str:
        """The first line of the application log, from line ``after`` on, that has the part in it."""
        return self._wait_for(self.errors, part, seconds, after)

    @staticmethod
    def _wait_for(lines: list[str], part: str, seconds: float, after: int = 0) -> str:
        deadline = time.monotonic() + seconds
        while not (found := [line for line in lines[after:] if part in line]):
            assert time.monotonic() < deadline, (part, lines)
            time.sleep(0.01)
        return found[0]

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 60) -> int:
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(5)
        return status

    @property
    def stderr(self) -> str:
        return "\n".join(self.errors)


@contextmanager
def gateway(directory: Path, *arguments: str, ready: bool = True, **options) -> Iterator[Gateway]:
    """A gateway for the length of a test; it must not print a traceback."""
    one = Gateway(directory, *arguments, **options)
    try:
        yield one.wait_ready() if ready else one
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.wait()
    assert "Traceback" not in one.stderr, one.stderr
