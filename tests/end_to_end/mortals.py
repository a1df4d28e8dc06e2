"""Servers that can be killed several times a second: a process that has imported everything forks them.

Run as a program with a configuration file and a number of servers; they share one socket, and whichever is killed has a
successor. What a server is made of is real: a Pipeline, the host and its listener, in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from llmgate.host import create_app
from llmgate.host.server import bind, serve
from llmgate.pipeline import Pipeline


def server(config: Path, listening) -> None:
    """One server; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    logging.basicConfig(level=logging.WARNING)
    status = 1
    try:
        pipeline = Pipeline.from_config(config, environment={}, workers=2)
        ready = f"server {os.getpid()}\n".encode()
        asyncio.run(serve(create_app(pipeline), [listening], shared=True, started=lambda: os.write(1, ready)))
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    """Keep so many servers alive; at SIGTERM let them end in order."""
    config, count = Path(sys.argv[1]), int(sys.argv[2])
    Pipeline.from_config(config, environment={})  # so that everything it takes is imported before the first fork
    (listening,) = bind("127.0.0.1", 0)
    listening.listen(4096)
    alive: set[int] = set()
    stopping = False

    def stop(*_) -> None:
        nonlocal stopping
        stopping = True
        for one in list(alive):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGTERM)

    def begin() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the child has no handler of the parent's
        if not stopping:
            child = os.fork()
            if child == 0:
                server(config, listening)
            alive.add(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    signal.signal(signal.SIGTERM, stop)
    os.write(1, f"port {listening.getsockname()[1]}\n".encode())
    for _ in range(count):
        begin()
    while alive:
        child, _ = os.wait()
        alive.discard(child)
        begin()


if __name__ == "__main__":
    main()
