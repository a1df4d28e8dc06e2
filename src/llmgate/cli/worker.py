"""A worker of ``llmgate serve --workers N``: has its own Pipeline and takes connections from sockets it was handed.

It does what its supervisor says, and ends in order when the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from llmgate.config.model import ServerConfig
from llmgate.host.loops import loop_factory
from llmgate.spec import ConfigError, GatewayError

from .channel import Channel
from .fleet import seen_by
from .job import Job, unpack
from .serving import Serving, problems_of

__all__ = ["main"]

log = logging.getLogger("llmgate.workers")


def main(control: int, listening: Sequence[int], loop: str = "asyncio") -> int:
    """Work until told to stop.

    Args:
        control: The descriptor of the channel to the supervisor.
        listening: The descriptors of the sockets to listen on.
        loop: The name of the event loop.

    Returns:
        The exit status; 0 after an end in order.
    """
    # A terminal sends both to everybody in it. The supervisor decides what becomes of them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for descriptor in (control, *listening):
        os.set_inheritable(descriptor, False)
    sockets = [socket.socket(fileno=descriptor) for descriptor in listening]
    try:
        with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
            return runner.run(_work(socket.socket(fileno=control), sockets))
    finally:
        for bound in sockets:
            bound.close()


async def _work(control: socket.socket, sockets: Sequence[socket.socket]) -> int:
    channel = await Channel.over(control)
    try:
        order = await channel.receive()
        if order is None:
            return 1
        return await _Worker(channel, order).run(sockets)
    finally:
        await channel.aclose()


class _Worker:
    """The worker between its supervisor and its Pipeline.

    Args:
        channel: To the supervisor.
        order: What it says first.
    """

    def __init__(self, channel: Channel, order: Mapping[str, Any]) -> None:
        self._channel = channel
        self._order = order
        self._number: int = order["number"]
        self._stopping = asyncio.Event()
        self._relieved = asyncio.Event()
        self._verdicts: dict[int, asyncio.Future[bool]] = {}
        self._reloads: set[asyncio.Task[None]] = set()
        self._serving: Serving

    async def run(self, sockets: Sequence[socket.socket]) -> int:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_term)
        obeying = None
        try:
            self._serving = Serving(
                Job(**self._order["job"]),
                unpack(self._order["source"]),
                server=ServerConfig.restored(self._order["server"]),
            )
            self._serving.start_logging(self._number)
            obeying = loop.create_task(self._obey())
            await self._serving.run(
                sockets, started=self._started, stop=self._stopping, shared=True, relieved=self._relieved
            )
        except GatewayError as error:
            self._channel.send(failed=list(problems_of(error)), status=2 if isinstance(error, ConfigError) else 1)
            return 1
        finally:
            if obeying is not None:
                obeying.cancel()
        return 0

    def _started(self, lines: Sequence[str]) -> None:
        self._channel.send(ready=list(lines))

    def _on_term(self) -> None:
        if self._stopping.is_set():
            os._exit(128 + signal.SIGTERM)
        self._stop()

    def _stop(self) -> None:
        self._stopping.set()
        for verdict in self._verdicts.values():
            if not verdict.done():
                verdict.set_result(False)

    async def _obey(self) -> None:
        """Do what the supervisor says, until it stops or is gone."""
        while (message := await self._channel.receive()) is not None:
            if "stop" in message:
                self._stop()
            elif "relieved" in message:
                self._relieved.set()
            elif "reload" in message:
                number: int = message["reload"]
                self._verdicts[number] = asyncio.get_running_loop().create_future()
                task = asyncio.get_running_loop().create_task(self._reload(number, message["source"]))
                self._reloads.add(task)
                task.add_done_callback(self._reloads.discard)
            elif "health" in message:
                self._channel.send(health=message["health"], data=seen_by(self._serving.pipeline))
            elif "verdict" in message:
                verdict = self._verdicts.get(message["verdict"])
                if verdict is not None and not verdict.done():
                    verdict.set_result(message["go"])
        if not self._stopping.is_set():
            log.error("the supervisor is gone: worker %d stops", self._number)
            self._stop()

    async def _reload(self, number: int, source: Mapping[str, Any] | None) -> None:
        """Open what a new configuration wants, say so, and take it when all the other workers can take it too."""
        verdict = self._verdicts[number]

        async def agree() -> None:
            self._channel.send(prepared=number, problems=[])
            if not await verdict:
                raise ConfigError("another worker cannot take the configuration")

        try:
            await self._serving.follow(unpack(source), approve=agree)
            self._serving.start_logging(self._number)
        except GatewayError as error:
            self._channel.send(prepared=number, problems=list(problems_of(error)))
        except Exception as failure:
            log.exception("the configuration could not be read again")
            self._channel.send(prepared=number, problems=[f"{type(failure).__name__}: see the log"])
        finally:
            del self._verdicts[number]
