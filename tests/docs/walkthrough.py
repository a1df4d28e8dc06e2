"""Does what a page says: writes its files, runs its commands in order, looks for the output that it promises."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import attrs

from end_to_end.gateways import Gateway

__all__ = ["Command", "Step", "Walk", "commands_of", "steps_of"]

HERE = Path(__file__).parent
FENCE = re.compile(r"(?ms)^```(console|yaml|python)\n(.*?)^```$")
FILE_NAME = re.compile(r"`([\w-]+\.(?:yaml|py))`")
ADDRESS = "127.0.0.1:8080"
NOT_RUN = ("pip install ", "git clone ", "make ", "docker ", "kubectl ")
"""What a test does not do: fetch packages, build environments, drive engines that are not there."""
RECORD_SECONDS = 10.0
"""How long a record may take to reach its file: loggers write after the answer."""


@attrs.frozen
class Command:
    """One command of a page.

    Args:
        line: What follows the prompt.
        expected: The lines below it, ``...`` for whatever is there.
    """

    line: str
    expected: tuple[str, ...]


@attrs.frozen
class Step:
    """One block of a page: commands, or a file.

    Args:
        commands: What to run.
        file: The file to write, None where the text names none.
        text: What to write.
    """

    commands: tuple[Command, ...] = ()
    file: str | None = None
    text: str = ""


def steps_of(page: str) -> Iterator[Step]:
    """The blocks of a page in their order; a file is one whose name the paragraph before the block ends with."""
    for block in FENCE.finditer(page):
        if block[1] == "console":
            yield Step(commands=tuple(commands_of(block[2])))
            continue
        paragraph = page[: block.start()].rstrip().rpartition("\n\n")[2]
        names = FILE_NAME.findall(paragraph) if paragraph.endswith(":") else []
        yield Step(file=names[-1] if names else None, text=block[2])


def commands_of(block: str) -> Iterator[Command]:
    """The commands of a console block with the output that stands below each."""
    for part in re.split(r"(?m)^\$ ", block)[1:]:
        lines = part.splitlines()
        count = 1
        while lines[count - 1].endswith("\\"):
            count += 1
        yield Command("\n".join(lines[:count]), tuple(line for line in lines[count:] if line.strip()))


class Walk:
    """Somebody who reads a page and does what it says, in a directory of their own.

    Args:
        directory: Where they are.
        variables: What the page's ``export NAME=...`` sets besides, by its name: further variables.
    """

    def __init__(self, directory: Path, variables: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.directory = directory
        self.ran: list[str] = []
        self._variables = variables or {}
        self._gateway: Gateway | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        programs = directory / "bin"
        programs.mkdir()
        if shutil.which("curl") is None:
            (programs / "curl").symlink_to(HERE / "curl.py")
        self._environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]]),
            "HOME": str(directory),
            "LLMGATE__SERVER__PORT": str(self._port),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def through(self, page: str) -> None:
        """Do everything that a page says."""
        for step in steps_of(page):
            if step.file is not None:
                (self.directory / step.file).write_text(self._here(step.text), encoding="utf-8")
            for command in step.commands:
                self.run(command)

    def run(self, command: Command) -> None:
        """Run one command and look for its output."""
        line = self._here(command.line)
        if line.startswith(NOT_RUN):
            return
        self.ran.append(line)
        if assigned := re.fullmatch(r"export (\w+)=(\S+)", line):
            self._environment |= {assigned[1]: assigned[2], **self._variables.get(assigned[1], {})}
        elif line.split()[:2] == ["llmgate", "serve"]:
            self._serve(line.split()[2:])
            assert self._gateway is not None
            self._compare(command, "\n".join(self._gateway.lines))
        else:
            self._shell(command, line)

    def _shell(self, command: Command, line: str) -> None:
        """Run a line and look for its output; what is written a moment after an answer is looked for again."""
        patience = time.monotonic() + (RECORD_SECONDS if line.startswith("tail ") else 0)
        while True:
            done = subprocess.run(
                ["sh", "-c", line],
                cwd=self.directory,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=40,
                check=False,
            )
            try:
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                return self._compare(command, done.stdout)
            except AssertionError:
                if time.monotonic() > patience:
                    raise
                time.sleep(0.05)

    def _serve(self, arguments: list[str]) -> None:
        self.stop()
        port = [] if "--port" in arguments else ["--port", str(self._port)]
        self._gateway = Gateway(self.directory, *arguments, *port, environment=self._environment).wait_ready()

    def stop(self) -> None:
        """End the gateway that the page has started, in order."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            gateway.signal()
            assert gateway.wait(20) == 0, gateway.stderr
            assert "Traceback" not in gateway.stderr, gateway.stderr

    def _here(self, text: str) -> str:
        """The text with the port that is ours."""
        return text.replace(ADDRESS, f"127.0.0.1:{self._port}")

    def _compare(self, command: Command, output: str) -> None:
        """Each promised line is there, in the promised order."""
        place = 0
        for line in command.expected:
            pattern = ".*".join(_loose(part) for part in re.split(r"\.\.\.|…", self._here(line)))
            found = re.compile(pattern).search(output, place)
            assert found, f"{command.line}\npromises {line!r}, and answers\n{output[place:] or '(nothing)'}"
            place = found.end()


def _loose(text: str) -> str:
    """The text as a pattern; how many spaces align a table is no promise."""
    return re.sub(r"(?:\\ )+", r"\\s+", re.escape(text))
