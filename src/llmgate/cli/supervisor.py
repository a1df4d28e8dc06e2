"""Keeps the workers of ``llmgate serve --workers N``: starts, replaces, reloads and stops them.

Each worker is a fresh interpreter (nothing is forked that has threads or an event loop), which is handed the bound
sockets and one end of a channel. The supervisor serves nobody, so there is little in it that can fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.config import ConfigText
from llmgate.host.loops import loop_name
from llmgate.host.signals import Signals
from llmgate.spec import GatewayError

from .channel import Channel
from .hired_worker import HiredWorker, StartFailedError, worker_command
from .job import Job, as_bound, pack
from .reloads import Reloads
from .serving import Serving, log_problems, problems_of

__all__ = ["StartFailedError", "Supervisor", "worker_command"]

log = logging.getLogger("llmgate.workers")

QUICK_DEATHS: Final = 5
"""How often in a row a worker may die at once, while no other one serves, before the supervisor gives up."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries to start a worker, at most."""
PREPARE_SECONDS: Final = 60.0
"""How long workers may take to open what a new configuration wants."""
HEALTH_SECONDS: Final = 5.0
"""How long workers may take to say how their deployments do."""
FLUSH_SECONDS: Final = 15.0
"""Beyond the limit for running requests: how long a worker may take to write its records and close its stages."""

COUNTS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Names the directory in which workers count for ``/metrics``, so that any of them can tell what all have counted."""


class Supervisor:
    """The supervisor of one start.

    Args:
        job: What the command line asks for.
        source: The configuration's text, which every worker gets, whatever becomes of the file.
        serving: The same, read and checked; it opens nothing.
        sockets: Bound sockets; they are the supervisor's from now on.
        command: Makes the command that starts a worker; None for the one that is meant.
    """

    def __init__(
        self,
        job: Job,
        source: ConfigText | None,
        serving: Serving,
        sockets: Sequence[socket.socket],
        command: Callable[[int, Sequence[int]], Sequence[str]] | None = None,
    ) -> None:
        self._job = job
        self._source = source
        self._serving = serving
        self._count = serving.server.workers
        self._sockets = sockets
        self._command = command or functools.partial(worker_command, loop=loop_name(serving.server))
        self._workers: dict[int, HiredWorker] = {}
        self._leaving: set[HiredWorker] = set()
        """Workers whose place another one has taken, until they are gone."""
        self._server = serving.server
        self._edition = 0
        self._attempt = 0
        self._asked = 0
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
        reloads = self._serving.reloads(self._source, self.reload, self.health, self.restart)
        with tempfile.TemporaryDirectory(prefix="llmgate-counts-") as self._counts:
            async with reloads:
                return await self._run(reloads)

    async def _run(self, reloads: Reloads) -> int:
        with Signals(reloads.on_signal, at_once=self._kill, restart=reloads.on_restart_signal) as signals:
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

    async def health(self) -> Sequence[Mapping[str, Any]]:
        """What each worker knows of its deployments, by its number; ``data`` is None of one that does not say."""
        self._asked += 1
        number = self._asked
        asked = [worker for worker in self._workers.values() if worker.ready_at is not None]
        waiting = {worker.number: worker.ask_health(number) for worker in asked}
        if waiting:
            await asyncio.wait(waiting.values(), timeout=HEALTH_SECONDS)
        for worker in asked:
            worker.checkups.pop(number, None)
        return [
            {"worker": place, "data": one.result() if one.done() and not one.cancelled() else None}
            for place, one in sorted(waiting.items())
        ]

    async def restart(self) -> Sequence[str]:
        """Put new workers in the place of the old ones, one after the other, by the configuration as it is now.

        A new one serves before the old one takes no more connections, and the old one stays for those that it has.

        Returns:
            Why it could not be done; nothing when every place has a new worker.
        """
        if any(worker.ready_at is not None for worker in self._leaving):
            return ["workers of the last restart are still finishing what they were busy with: try again later"]
        try:
            source = self._job.read(self._source)
            candidate = Serving(self._job, source)
            self._serving.refuse_unsafe(candidate.pipeline.snapshot)
        except GatewayError as error:
            log_problems(problems_of(error))
            return problems_of(error)
        before = self._source, self._server
        self._source, self._server = source, as_bound(candidate.server, self._server)
        for number in range(1, self._count + 1):
            problems = await self._replace(number)
            if problems and number == 1:
                self._source, self._server = before
            elif number == 1:  # from here on it is what all are to serve by
                self._attempt += 1
                self._edition = self._workers[1].edition = self._attempt
            if problems:
                log.error("the workers are not replaced: %s", "; ".join(problems))
                break
        for worker in self._workers.values():
            self._catch_up(worker)
        if not problems:
            candidate.start_logging()
            log.info("%d workers have been replaced", self._count)
        return problems

    async def _replace(self, number: int) -> Sequence[str]:
        """Have a new worker take a place; returns why it could not."""
        while not self._stopping.is_set() and (old := self._workers.get(number)) is None:  # noqa: ASYNC110 - it is rare
            await asyncio.sleep(0.05)  # it has died, and the next one is being started
        worker = await self._hire(number)
        if worker is None:
            return [f"worker {number} cannot be started"]
        ready = asyncio.ensure_future(worker.ready.wait())
        await asyncio.wait([ready, worker.attending], timeout=PREPARE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if worker.ready_at is not None and old is not None and self._workers.get(number) is old:
            self._workers[number] = old.successor = worker
            self._let_go(old)
            old.succeeded.set()
            old.channel.send(relieved=True)
            return ()
        self._let_go(worker)
        worker.channel.send(stop=True)
        if worker.ready_at is not None:
            return (
                () if not self._stopping.is_set() else ["the gateway is being stopped"]
            )  # the old one has died anyway
        said = worker.failure.lines if worker.failure is not None else ["it did not become ready"]
        return [f"worker {number} cannot be replaced: {line}" for line in said]

    def _let_go(self, worker: HiredWorker) -> None:
        """Attend to a worker that fills no place any more until it is gone."""
        worker.leaves = True
        self._leaving.add(worker)
        worker.attending.add_done_callback(lambda _: self._leaving.discard(worker))

    async def _gather(self, asked: Sequence[HiredWorker], number: int) -> Sequence[str]:
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

    def _catch_up(self, worker: HiredWorker) -> None:
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

    async def _employ(self, number: int) -> HiredWorker | None:
        """Start a worker and stay until it, or who has taken its place, is gone; None if it could not be started."""
        worker = await self._hire(number)
        if worker is None:
            return None
        self._workers[number] = worker
        while True:
            succeeded = asyncio.ensure_future(worker.succeeded.wait())
            await asyncio.wait([worker.attending, succeeded], return_when=asyncio.FIRST_COMPLETED)
            succeeded.cancel()
            if worker.successor is None:
                del self._workers[number]
                return worker
            worker = worker.successor

    async def _hire(self, number: int) -> HiredWorker | None:
        """Start a worker and tell it what to do; None when it could not even be started."""
        worker = await self._start(number)
        if worker is None:
            return None
        worker.attending = asyncio.create_task(self._attend(worker))
        worker.channel.send(
            job=attrs.asdict(self._job),
            server=attrs.asdict(self._server),
            number=number,
            source=pack(self._source),
        )
        if self._stopping.is_set():
            worker.channel.send(stop=True)
        return worker

    async def _attend(self, worker: HiredWorker) -> None:
        """Listen to a worker until it is gone."""
        listener = asyncio.create_task(self._listen(worker))
        status = await worker.process.wait()
        await asyncio.wait([listener], timeout=1)  # what it said last may still be on its way
        listener.cancel()
        await worker.channel.aclose()
        self._note_end(worker, status)

    async def _start(self, number: int) -> HiredWorker | None:
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
        return HiredWorker(number, process, await Channel.over(ours), self._edition)

    async def _listen(self, worker: HiredWorker) -> None:
        while (message := await worker.channel.receive()) is not None:
            if "ready" in message:
                self._note_ready(worker, message["ready"])
            elif "failed" in message:
                worker.failure = StartFailedError(message["failed"], message["status"])
            elif "health" in message:
                asked = worker.checkups.get(message["health"])
                if asked is not None and not asked.done():
                    asked.set_result(message["data"])
            elif "prepared" in message:
                self._note_prepared(worker, message["prepared"], message["problems"])

    def _note_ready(self, worker: HiredWorker, lines: Sequence[str]) -> None:
        worker.ready_at = asyncio.get_running_loop().time()
        worker.ready.set()
        log.info("worker %d is ready (process %d)", worker.number, worker.process.pid)
        self._ready_once.add(worker.number)
        self._catch_up(worker)
        if not self._greeted and len(self._ready_once) == self._count:
            self._greeted = True
            print("\n".join(lines), flush=True)

    def _note_prepared(self, worker: HiredWorker, number: int, problems: Sequence[str]) -> None:
        if number in worker.answers:
            worker.answer(number, problems)
        elif problems and worker.edition == number and not self._stopping.is_set():
            # It must not serve by another configuration than the others; the next one begins with theirs.
            log.error("worker %d cannot follow the others and is replaced: %s", worker.number, "; ".join(problems))
            worker.channel.send(stop=True)

    def _note_end(self, worker: HiredWorker, status: int) -> None:
        for asked in worker.checkups.values():
            asked.cancel()
        for number in worker.answers:
            worker.answer(number, [f"worker {worker.number} died meanwhile"])
        stopping = self._stopping.is_set()
        # A service manager sends SIGTERM to every process at once; one that has just begun knows no better than to die.
        unclean = stopping and status not in (0, -signal.SIGTERM)
        self._unclean = self._unclean or unclean
        if worker.failure is not None or (stopping and not unclean):
            return
        if worker.leaves and status == 0:
            log.info("worker %d (process %d) has finished and is gone", worker.number, worker.process.pid)
            return
        how = f"was killed by {_signal_name(-status)}" if status < 0 else f"ended with status {status}"
        then = "" if stopping else ": it is replaced"
        log.error("worker %d (process %d) %s%s", worker.number, worker.process.pid, how, then)

    async def _stop(self, keepers: Sequence[asyncio.Task[None]]) -> Sequence[StartFailedError]:
        """Have every worker end in order, and kill those that do not; returns why workers could not be kept."""
        async with self._spawning:
            for bound in self._sockets:
                bound.close()
        for worker in (*self._workers.values(), *self._leaving):
            worker.channel.send(stop=True)
        limit = self._server.shutdown_grace + self._server.shutdown_timeout + FLUSH_SECONDS
        everybody = [*keepers, *(worker.attending for worker in self._leaving)]
        _, late = await asyncio.wait(everybody, timeout=limit)
        if late:
            log.error("%d workers did not end within %g s and are killed", len(late), limit)
            self._kill()
            await asyncio.wait(everybody)
        failures = []
        for keeper in keepers:
            error = keeper.exception()
            if isinstance(error, StartFailedError):
                failures.append(error)
            elif error is not None:
                raise error
        return failures

    def _kill(self) -> None:
        for worker in (*self._workers.values(), *self._leaving):
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
