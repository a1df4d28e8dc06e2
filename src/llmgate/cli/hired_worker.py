"""A worker as its supervisor sees it: the command that starts it, its process, the channel to it, what it has said."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import attrs

from .channel import Channel

__all__ = ["HiredWorker", "StartFailedError", "worker_command"]

STABLE_SECONDS: Final = 1.0
"""A worker that dies sooner than this after it was ready died at once."""

BOOT: Final = """\
import json, sys
start = json.loads(sys.argv[1])
sys.path[:] = start["path"]
from llmgate.cli.worker import main
sys.exit(main(start["control"], start["listening"], start["loop"]))
"""


class StartFailedError(Exception):
    """The workers cannot be started.

    Args:
        lines: Why, for the operator.
        status: The exit status that it means.
    """

    def __init__(self, lines: Sequence[str], status: int) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.status = status


def worker_command(control: int, listening: Sequence[int], loop: str = "asyncio") -> Sequence[str]:
    """The command that starts a worker with this interpreter, its flags and its module path.

    Args:
        control: The descriptor of the worker's end of the channel.
        listening: The descriptors of the sockets to listen on.
        loop: The name of its event loop.
    """
    flags = [
        *(["-I"] if sys.flags.isolated else []),
        *(["-X", "dev"] if sys.flags.dev_mode else []),
        *(f"-W{option}" for option in sys.warnoptions),
    ]
    start = {"path": sys.path, "control": control, "listening": list(listening), "loop": loop}
    # -P: a file that lies in the working directory is not to be taken for a module before the path is set.
    return [sys.executable, "-P", *flags, "-c", BOOT, json.dumps(start)]


@attrs.define(eq=False)
class HiredWorker:
    """A worker as the supervisor sees it.

    Args:
        number: Its place, from 1.
        process: The process.
        channel: To it.
        edition: Which of the configurations it serves by.
        ready_at: Since when it serves, in the loop's time; None before.
        failure: Why it could not start, and the exit status that this means.
        ready: Set when it serves.
        successor: Who has taken its place.
        succeeded: Set when somebody has.
        leaves: Whether it fills no place any more.
        attending: Listens to it until it is gone.
        answers: What it says to the reloads under way, by number.
        checkups: What it says when it is asked for the health of its deployments, by number.
    """

    number: int
    process: asyncio.subprocess.Process
    channel: Channel
    edition: int
    ready_at: float | None = None
    failure: StartFailedError | None = None
    ready: asyncio.Event = attrs.field(factory=asyncio.Event)
    successor: HiredWorker | None = None
    succeeded: asyncio.Event = attrs.field(factory=asyncio.Event)
    leaves: bool = False
    attending: asyncio.Task[None] = attrs.field(init=False)
    answers: dict[int, asyncio.Future[Sequence[str]]] = attrs.field(factory=dict)
    checkups: dict[int, asyncio.Future[Any]] = attrs.field(factory=dict)

    def lasted(self, now: float) -> bool:
        """Whether it has served for a while."""
        return self.ready_at is not None and now - self.ready_at >= STABLE_SECONDS

    def ask_health(self, number: int) -> asyncio.Future[Any]:
        """Ask for the health of its deployments."""
        asked = self.checkups[number] = asyncio.get_running_loop().create_future()
        self.channel.send(health=number)
        return asked

    def answer(self, number: int, problems: Sequence[str]) -> None:
        """Take what it says to a reload."""
        waiting = self.answers.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(problems)
