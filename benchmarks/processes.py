"""The processes that are measured: each on a CPU of its own, waited for, its CPU time read, ended for certain."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

__all__ = ["ROOT", "Cpus", "Process", "ProcessError", "free_port", "started"]

ROOT: Final = Path(__file__).parents[1]
PATIENCE: Final = 90.0
"""Seconds that a process may take to listen."""

ADDRESS: Final = re.compile(rb"http://127\.0\.0\.1:(\d+)\b")

_PROPORTION: Final = re.compile(r"(?m)^Pss: +(\d+) kB$")
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class ProcessError(Exception):
    """A process did not start; the message ends with what it said."""


@attrs.frozen
class Cpus:
    """Which CPU the measured process has for itself, and which one the load and the upstream share.

    Both are None where processes cannot be pinned, or where there is one CPU only.
    """

    server: int | None
    load: int | None

    @classmethod
    def of_this_machine(cls) -> Cpus:
        """The first two CPUs that this process may use."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)

    @staticmethod
    @contextlib.contextmanager
    def pinned(cpu: int | Collection[int] | None) -> Iterator[None]:
        """Stay on one CPU, or on some; a process started meanwhile inherits it from its first instruction on."""
        if cpu is None:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cpu} if isinstance(cpu, int) else set(cpu))
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


@attrs.frozen
class Process:
    """A running process and where it listens.

    Args:
        pid: Of the process itself; it may have children.
        port: On loopback.
        start: Seconds from its first instruction until it took a connection.
    """

    pid: int
    port: int
    start: float = 0.0

    def cpu_seconds(self) -> float | None:
        """User and system time of the process and its descendants so far; None where there is no ``/proc``."""
        family = self._family().values()
        return sum(int(fields[11]) + int(fields[12]) for fields in family) / _TICK if family else None

    def resident_bytes(self) -> int | None:
        """Memory of the process and its descendants that is in use now; None where there is no ``/proc``."""
        family = self._family().values()
        return sum(int(fields[21]) for fields in family) * _PAGE if family else None

    def proportional_bytes(self) -> int | None:
        """The same, where a page that several processes share counts in parts; None where the kernel does not tell."""
        try:
            told = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self._family()]
        except OSError:
            return None
        return sum(int(found[1]) for text in told if (found := _PROPORTION.search(text))) * 1024 or None

    def _family(self) -> Mapping[int, Sequence[str]]:
        """What the kernel says of the process and each of its descendants, from the state on; see ``proc(5)``."""
        children: dict[int, list[int]] = {}
        known: dict[int, Sequence[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(") ")[2].split()
            except (OSError, UnicodeDecodeError):
                continue  # it has ended, or is not ours to read
            pid = int(path.parent.name)
            children.setdefault(int(fields[1]), []).append(pid)
            known[pid] = fields
        if self.pid not in known:
            return {}
        todo, family = [self.pid], {}
        while todo:
            pid = todo.pop()
            family[pid] = known[pid]
            todo += children.get(pid, [])
        return family


@contextlib.contextmanager
def started(
    arguments: Sequence[str],
    *,
    cpu: int | Collection[int] | None,
    environment: Mapping[str, str],
    directory: Path,
    program: Sequence[str] = (sys.executable,),
    port: int | None = None,
) -> Iterator[Process]:
    """Run ``python ARGUMENTS`` while the block lasts, from when it listens.

    It takes a free port and prints its address: a port chosen for it beforehand could be somebody else's by the time
    that it listens, and then somebody else would be measured.

    Args:
        arguments: What stands after ``python``.
        cpu: The CPU, or the CPUs, that it is pinned to.
        environment: Its environment variables.
        directory: Its working directory.
        program: What stands in the place of ``python``.
        port: Where a program listens that cannot choose for itself.

    Raises:
        ProcessError: it ended, or did not listen in time.
    """
    with tempfile.NamedTemporaryFile(dir=directory) as said, tempfile.TemporaryFile(dir=directory) as complained:
        begun = time.monotonic()
        with Cpus.pinned(cpu):
            process = subprocess.Popen(
                [*program, *arguments],
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=complained,
            )
        try:
            taken = _listening_port(process, Path(said.name), port)
            if taken is None:
                complained.seek(0)
                tail = complained.read()[-2000:].decode(errors="replace").strip()
                command = " ".join([Path(program[0]).name, *program[1:], *arguments])
                raise ProcessError(f"{command} does not listen (exit {process.poll()}):\n{tail}")
            yield Process(process.pid, taken, time.monotonic() - begun)
        finally:
            _end(process)


def free_port() -> int:
    """A port that nobody listens on now, for a program that must be told one."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
    return port


def _listening_port(process: subprocess.Popen[bytes], said: Path, port: int | None) -> int | None:
    """The port that a process takes connections on; None when that never comes."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        address = ADDRESS.search(said.read_bytes()) if port is None else None
        found = port if address is None else int(address[1])
        if found is not None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", found), timeout=1):
                return found
        time.sleep(0.005)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
