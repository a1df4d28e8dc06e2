"""What a serving process does on signals: SIGTERM and SIGINT stop it in order, SIGHUP makes it read its configuration.

SIGUSR2 has a supervisor put new workers in the place of the old ones.

SIGHUP means two things. From ``kill -HUP`` it asks for a reload; from the kernel it says that the terminal is gone, and
a gateway that was started in that terminal ends with it, unless ``nohup`` had the signal ignored.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

__all__ = ["Signals"]

log = logging.getLogger("llmgate.host")


class Signals:
    """Listens to signals inside ``with``; needs a running event loop in the main thread.

    Args:
        reload: What SIGHUP does; None for the same as SIGTERM. One reload runs at a time, and signals that come
            meanwhile make one more.
        at_once: Called on the second signal to stop, before the process ends without waiting for anything.
        restart: What SIGUSR2 does; None to leave it alone.
    """

    def __init__(
        self,
        reload: Callable[[], Coroutine[Any, Any, None]] | None = None,
        at_once: Callable[[], None] | None = None,
        restart: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.stopping = asyncio.Event()
        self._reload = reload
        self._at_once = at_once
        self._restart = restart
        self._restarting: asyncio.Task[None] | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._had_terminal = False
        self._on_terminal: list[int] = []
        self._wanted = False
        self._reloading: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGTERM, signal.SIGINT]
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        self._had_terminal = not ignored and _has_terminal()
        self._on_terminal = [descriptor for descriptor in range(3) if os.isatty(descriptor)]
        if self._reload is not None or not ignored:
            numbers.append(signal.SIGHUP)
        if self._restart is not None:
            numbers.append(signal.SIGUSR2)
        for number in numbers:
            self._before[number] = signal.getsignal(number)
            loop.add_signal_handler(number, self._on_signal, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number, handler in self._before.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)
        for task in (self._reloading, self._restarting):
            if task is not None:
                task.cancel()

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._on_hangup()
        elif number == signal.SIGUSR2:
            if self._restart is not None and (self._restarting is None or self._restarting.done()):
                self._restarting = asyncio.get_running_loop().create_task(self._restart())
        elif self.stopping.is_set():
            # Whoever sends a second signal does not want to wait for anything, a flush included.
            if self._at_once is not None:
                self._at_once()
            os._exit(128 + number)
        else:
            self.stopping.set()

    def _on_hangup(self) -> None:
        terminal_gone = self._had_terminal and not _has_terminal()
        if terminal_gone:
            _write_to_nowhere(self._on_terminal)
        if self._reload is None or terminal_gone:
            self.stopping.set()
            return
        self._wanted = True
        if self._reloading is None:
            self._reloading = asyncio.get_running_loop().create_task(self._reload_as_wanted(self._reload))

    async def _reload_as_wanted(self, reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            while self._wanted and not self.stopping.is_set():
                self._wanted = False
                await reload()
        except Exception:
            log.exception("the configuration could not be read again")
        finally:
            self._reloading = None


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal that is still there."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(descriptor)
    return True


def _write_to_nowhere(descriptors: Sequence[int]) -> None:
    """Turn output to a terminal that is gone into output that nobody reads: it would fail, down to the exit status."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
