"""Keeps the workers of ``llmgate serve --workers N``: starts, replaces, reloads and stops them.

Each worker is a fresh interpreter (nothing is forked that has threads or an event loop), which is handed the bound
sockets and one end of a channel. The supervisor serves nobody, so there is little in it that can fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from llmgate.config import ConfigText
from llmgate.host.signals import Signals
from llmgate.spec import GatewayError

from .channel import Channel
from .job import Job, pack
from .reloads import Reloads
from .serving import Serving, log_problems, problems_of

__all__ = ["StartFailedError", "Supervisor", "worker_command"]

log = logging.getLogger("llmgate.workers")

STABLE_SECONDS: Final = 1.0
"""A worker that dies sooner than this after it was ready died at once."""
QUICK_DEATHS: Final = 5
"""How often in a row a worker may die at once, while no other one serves, before the supervisor gives up."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to start a worker, at most."""
PREPARE_SECONDS: Final = 60.0
"""How long workers may take to open what a new configuration wants."""
FLUSH_SECONDS: Final = 15.0
"""Beyond the limit for running requests: how long a worker may take to write its records and close its stages."""

COUNTS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory in which workers count for ``/metrics``, so that any of them can tell what all have counted."""

BOOT: Final = """\
import json, sys
start = json.loads(sys.argv[1])
sys.path[:] = start["path"]
from llmgate.cli.worker import main
sys.exit(main(start["control"], start["listening"]))
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


def worker_command(control: int, listening: Sequence[int]) -> Sequence[str]:
    """The command that starts a worker with this interpreter, its flags and its module path.

    Args:
        control: The descriptor of the worker's end of the channel.
        listening: The descriptors of the sockets to listen on.
    """
    flags = [
        *(["-I"] if sys.flags.isolated else []),
        *(["-X", "dev"] if sys.flags.dev_mode else []),
        *(f"-W{option}" for option in sys.warnoptions),
    ]
    start = {"path": sys.path, "control": control, "listening": list(listening)}
    # -P: a file that lies in the working directory is not to be taken for a module before the path is set.
    return [sys.executable, "-P", *flags, "-c", BOOT, json.dumps(start)]


@attrs.define(eq=False)
class _Worker:
    """A worker as the supervisor sees it.

    Args:
        number: Its place, from 1.
        process: The process.
        channel: To it.
        edition: Which of the configurations it serves by.
        ready_at: Since when it serves, in the loop's time; None before.
        failure: Why it could not start, and the exit status that this means.
        answers: What it says to the reloads under way, by number.
    """

    number: int
    process: asyncio.subprocess.Process
    channel: Channel
    edition: int
    ready_at: float | None = None
    failure: StartFailedError | None = None
    answers: dict[int, asyncio.Future[Sequence[str]]] = attrs.field(factory=dict)

    def lasted(self, now: float) -> bool:
        """Whether it has served for a while."""
        return self.ready_at is not None and now - self.ready_at >= STABLE_SECONDS

    def answer(self, number: int, problems: Sequence[str]) -> None:
        """Take what it says to a reload."""
        waiting = self.answers.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(problems)


class Supervisor:
    """The supervisor of one start.

    Args:
        job: What the command line asks for.
        source: The configuration's text, which every worker gets, whatever becomes of the file.
        serving: The same, read and checked; it opens nothing.
        sockets: Bound sockets; they are the supervisor's from now on.
        command: Makes the command that starts a worker.
    """

    def __init__(
        self,
        job: Job,
        source: ConfigText | None,
        serving: Serving,
        sockets: Sequence[socket.socket],
        command: Callable[[int, Sequence[int]], Sequence[str]] = worker_command,
    ) -> None:
        self._job = job
        self._source = source
        self._serving = serving
        self._count = serving.server.workers
        self._sockets = sockets
        self._command = command
        self._workers: dict[int, _Worker] = {}
        self._edition = 0
        self._attempt = 0
        self._spawning = asyncio.Lock()
        self._greeted = False
        self._ready_once: set[int] = set()
        self._stopping = asyncio.Event()
        self._unclean = False
        self._counts = ""

    async def run(self) -> int:
        """Serve until told to stop.

        Returns:
            0 after an end in order, 1 when workers had to be killed or keep dying, 2 when the configuration is wrong.
        """
        self._serving.announce_shares(self._serving.pipeline.snapshot)
        reloads = self._serving.reloads(self._source, self.reload)
        with tempfile.TemporaryDirectory(prefix="llmgate-counts-") as self._counts:
            async with reloads:
                return await self._run(reloads)

    async def _run(self, reloads: Reloads) -> int:
        with Signals(reloads.on_signal, at_once=self._kill) as signals:
            self._stopping = signals.stopping
            keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._count + 1)]
            stopped = asyncio.create_task(self._stopping.wait())
            await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
            self._stopping.set()
            await stopped
            failures = await self._stop(keepers)
        if failures:
            for line in failures[0].lines:
                print(line if failures[0].status == 2 else f"llmgate: {line}", file=sys.stderr)
            return failures[0].status
        return 1 if self._unclean else 0

    async def reload(self) -> Sequence[str]:
        """Read the configuration again, and have every worker serve by it, or none.

        Returns:
            What is wrong with it; nothing when all serve by it.
        """
        try:
            source = self._job.read(self._source)
            candidate = Serving(self._job, source)
            self._serving.refuse_unsafe(candidate.pipeline.snapshot)
        except GatewayError as error:
            log_problems(problems_of(error))
            return problems_of(error)
        self._attempt += 1
        number = self._attempt
        asked = [worker for worker in self._workers.values() if worker.ready_at is not None]
        for worker in asked:
            worker.answers[number] = asyncio.get_running_loop().create_future()
            worker.channel.send(reload=number, source=pack(source))
        problems = await self._gather(asked, number)
        for worker in asked:
            worker.channel.send(verdict=number, go=not problems)
            worker.answers.pop(number, None)
        if self._stopping.is_set():
            return ["the gateway is being stopped"]
        if problems:
            log_problems(problems)
            return problems
        self._edition, self._source = number, source
        for worker in asked:
            worker.edition = number
        for worker in self._workers.values():
            self._catch_up(worker)
        candidate.start_logging()
        self._serving.announce(candidate.pipeline.snapshot)
        return ()

    async def _gather(self, asked: Sequence[_Worker], number: int) -> Sequence[str]:
        """Wait until every worker has said whether it can take a configuration; returns why not, each reason once."""
        waiting = [worker.answers[number] for worker in asked]
        if waiting:
            await asyncio.wait(waiting, timeout=PREPARE_SECONDS)
        problems: dict[str, None] = {}
        for worker in asked:
            answer = worker.answers[number]
            silent = [f"worker {worker.number} has not opened everything within {PREPARE_SECONDS:g} s"]
            problems.update(dict.fromkeys(answer.result() if answer.done() else silent))
        return list(problems)

    def _catch_up(self, worker: _Worker) -> None:
        """Have a worker that was started meanwhile follow the configuration that the others serve by."""
        if worker.ready_at is not None and worker.edition != self._edition:
            worker.edition = self._edition
            worker.channel.send(reload=self._edition, source=pack(self._source))
            worker.channel.send(verdict=self._edition, go=True)

    async def _keep(self, number: int) -> None:
        """Keep one place filled.

        Raises:
            StartFailedError: it cannot be.
        """
        loop = asyncio.get_running_loop()
        quick = 0
        while not self._stopping.is_set():
            worker = await self._employ(number)
            if self._stopping.is_set():
                return
            quick = 0 if worker is not None and worker.lasted(loop.time()) else quick + 1
            if worker is not None and worker.failure is not None:
                if not self._greeted:
                    raise worker.failure
                for line in worker.failure.lines:
                    log.error("worker %d cannot start: %s", number, line)
            if quick >= QUICK_DEATHS and not (self._greeted and self._somebody_serves()):
                raise StartFailedError([f"giving up: worker {number} has died at once {quick} times in a row"], 1)
            pause = min(LONGEST_PAUSE, 0.25 * 2 ** (quick - 2)) if quick > 1 else 0.0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    def _somebody_serves(self) -> bool:
        now = asyncio.get_running_loop().time()
        return any(worker.lasted(now) for worker in self._workers.values())

    async def _employ(self, number: int) -> _Worker | None:
        """Start a worker and stay until it is gone; None when it could not even be started."""
        worker = await self._start(number)
        if worker is None:
            return None
        self._workers[number] = worker
        worker.channel.send(
            job=attrs.asdict(self._job),
            server=attrs.asdict(self._serving.server),
            number=number,
            source=pack(self._source),
        )
        if self._stopping.is_set():
            worker.channel.send(stop=True)
        listener = asyncio.create_task(self._listen(worker))
        status = await worker.process.wait()
        await asyncio.wait([listener], timeout=1)  # what it said last may still be on its way
        listener.cancel()
        await worker.channel.aclose()
        del self._workers[number]
        self._note_end(worker, status)
        return worker

    async def _start(self, number: int) -> _Worker | None:
        async with self._spawning:  # the sockets are not closed while they are being handed on
            if self._stopping.is_set():
                return None
            ours, theirs = socket.socketpair()
            listening = [bound.fileno() for bound in self._sockets]
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command(theirs.fileno(), listening),
                    stdin=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *listening),
                    process_group=0,  # what the terminal sends is for the supervisor
                    env={COUNTS_VARIABLE: self._counts, **os.environ},
                )
            except OSError as error:
                ours.close()
                log.error("worker %d cannot be started: %s", number, error)  # noqa: TRY400 - it says all there is
                return None
            finally:
                theirs.close()
        return _Worker(number, process, await Channel.over(ours), self._edition)

    async def _listen(self, worker: _Worker) -> None:
        while (message := await worker.channel.receive()) is not None:
            if "ready" in message:
                self._note_ready(worker, message["ready"])
            elif "failed" in message:
                worker.failure = StartFailedError(message["failed"], message["status"])
            elif "prepared" in message:
                self._note_prepared(worker, message["prepared"], message["problems"])

    def _note_ready(self, worker: _Worker, lines: Sequence[str]) -> None:
        worker.ready_at = asyncio.get_running_loop().time()
        log.info("worker %d is ready (process %d)", worker.number, worker.process.pid)
        self._ready_once.add(worker.number)
        self._catch_up(worker)
        if not self._greeted and len(self._ready_once) == self._count:
            self._greeted = True
            print("\n".join(lines), flush=True)

    def _note_prepared(self, worker: _Worker, number: int, problems: Sequence[str]) -> None:
        if number in worker.answers:
            worker.answer(number, problems)
        elif problems and worker.edition == number and not self._stopping.is_set():
            # It must not serve by another configuration than the others; the next one begins with theirs.
            log.error("worker %d cannot follow the others and is replaced: %s", worker.number, "; ".join(problems))
            worker.channel.send(stop=True)

    def _note_end(self, worker: _Worker, status: int) -> None:
        for number in worker.answers:
            worker.answer(number, [f"worker {worker.number} died meanwhile"])
        stopping = self._stopping.is_set()
        # A service manager sends SIGTERM to every process at once; one that has just begun knows no better than to die.
        unclean = stopping and status not in (0, -signal.SIGTERM)
        self._unclean = self._unclean or unclean
        if worker.failure is not None or (stopping and not unclean):
            return
        how = f"was killed by {_signal_name(-status)}" if status < 0 else f"ended with status {status}"
        then = "" if stopping else ": it is replaced"
        log.error("worker %d (process %d) %s%s", worker.number, worker.process.pid, how, then)

    async def _stop(self, keepers: Sequence[asyncio.Task[None]]) -> Sequence[StartFailedError]:
        """Have every worker end in order, and kill those that do not; returns why workers could not be kept."""
        async with self._spawning:
            for bound in self._sockets:
                bound.close()
        for worker in self._workers.values():
            worker.channel.send(stop=True)
        server = self._serving.server
        limit = server.shutdown_grace + server.shutdown_timeout + FLUSH_SECONDS
        _, late = await asyncio.wait(keepers, timeout=limit)
        if late:
            log.error("%d workers did not end within %g s and are killed", len(late), limit)
            self._kill()
            await asyncio.wait(keepers)
        failures = []
        for keeper in keepers:
            error = keeper.exception()
            if isinstance(error, StartFailedError):
                failures.append(error)
            elif error is not None:
                raise error
        return failures

    def _kill(self) -> None:
        for worker in tuple(self._workers.values()):
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
