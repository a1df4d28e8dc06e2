"""Connections for calls: how many there may be, how long a call may take, and what may be repeated."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AuthenticationError,
    ConnectionError as RedisConnectionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from llmgate.spec import Clock, GatewayClosedError, GatewayError

from .address import Maker
from .breaker import Breaker
from .errors import StateUnavailableError
from .patience import Patience

__all__ = ["Command", "Connections", "reason_of"]

Command: TypeAlias = tuple[bytes | str | int | float, ...]

log: Final = logging.getLogger("llmgate.redis")

_SHOWN: Final = 200


def reason_of(failure: BaseException) -> str:
    """What went wrong, in a few words."""
    if isinstance(failure, TimeoutError):
        return "no answer in time"
    said = " ".join(str(failure).split())[:_SHOWN].rstrip(".")
    return said or type(failure).__name__


class Connections:
    """A bounded number of connections to one server, each used by one call at a time.

    A connection whose call ended in the middle, by a failure, a timeout or because the caller left, is closed: the
    answer that is still under way must not be taken for that of the next call.

    Args:
        name: What errors call the store; they may reach a caller of the gateway, who learns no address.
        where: What the log calls the server.
        make: Makes a connection, not yet connected.
        breaker: Keeps callers from waiting for a server that does not answer.
        clock: Where the pauses between trials are slept.
        trial: A command that changes nothing, and that only a server that takes changes carries out.
        size: How many connections there may be.
        timeout: Seconds that a call may take; waiting for a connection and connecting count.
    """

    def __init__(
        self,
        name: str,
        where: str,
        make: Maker,
        breaker: Breaker,
        *,
        clock: Clock,
        trial: Command,
        size: int,
        timeout: float,
    ) -> None:
        self._name = name
        self._where = where
        self._make = make
        self._breaker = breaker
        self._clock = clock
        self._trial = trial
        self._timeout = timeout
        self._trying: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(size)
        self._idle: list[AbstractConnection] = []
        self._closed = False

    async def call(self, command: Command, *, instead: Command | None = None, repeatable: bool = False) -> Any:
        """Send a command and return the answer, as bytes, a number, a list or None.

        Args:
            command: The command.
            instead: What is sent when the server does not know the script that the command names.
            repeatable: Whether the command may be sent again when the connection breaks and nobody knows whether it
                was carried out.

        Raises:
            StateUnavailableError: the server did not answer in time, cannot be reached or refuses the command.
            GatewayClosedError: the store is closed.
        """
        if self._closed:
            raise GatewayClosedError("the state store is closed")
        before = self._breaker.enter()
        placed = False
        try:
            async with Patience(self._timeout), self._places:
                placed = True
                answer = await self._asked(command, instead, repeatable)
        except ReadOnlyError as refused:
            # Another server has been promoted, and the name may lead to it by now.
            self._failed(refused, before)
            await self._drop_idle()
            raise StateUnavailableError(f"{self._name} takes no changes for the moment") from refused
        except ResponseError as refused:
            self._breaker.succeeded()
            log.warning("%s: %s refuses %s: %s", self._name, self._where, command[0], reason_of(refused))
            raise StateUnavailableError(f"{self._name} refuses a command: the log says which") from refused
        except (OSError, RedisError, GatewayError) as failure:
            if not placed:
                # A crowd of ours, which says nothing about the server: whoever holds a place finds out about it.
                raise StateUnavailableError(f"{self._name} has no connection free: raise max-connections") from failure
            self._failed(failure, before)
            what = "does not answer in time" if isinstance(failure, TimeoutError) else "cannot be reached"
            raise StateUnavailableError(f"{self._name} {what}") from failure
        self._breaker.succeeded()
        return answer

    async def first(self, command: Command, instead: Command, timeout: float) -> None:
        """Make sure that the server is there and does what it is asked; may take longer than a call.

        Raises:
            OSError, RedisError: it is not, or does not.
        """
        async with asyncio.timeout(timeout):
            await self._exchange(command, instead)

    async def aclose(self) -> None:
        """Close what is idle; what is in use is closed when its call ends. Idempotent."""
        self._closed = True
        trying, self._trying = self._trying, None
        if trying is not None:
            trying.cancel()
            await asyncio.wait({trying})
        await self._drop_idle()

    def _failed(self, failure: BaseException, before: int) -> None:
        """Count a call that was not answered; where that opens the breaker, find out when the server is back."""
        late = isinstance(failure, TimeoutError)
        self._breaker.failed(reason_of(failure), waited_since=before if late else None)
        if self._breaker.is_open and self._trying is None and not self._closed:
            self._trying = asyncio.get_running_loop().create_task(self._try(), name="llmgate-redis-trials")

    async def _try(self) -> None:
        """Try the server again and again until it answers, so that nobody's request has to."""
        try:
            while True:
                await self._clock.sleep(self._breaker.rest)
                if not self._breaker.is_open:
                    return
                try:
                    async with Patience(self._timeout):
                        await self._exchange(self._trial, None)
                except (OSError, RedisError, GatewayError) as failure:
                    self._breaker.failed(reason_of(failure), trial=True)
                    await self._drop_idle()  # the others are probably no better
                else:
                    self._breaker.succeeded(trial=True)
        finally:
            self._trying = None

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    async def _asked(self, command: Command, instead: Command | None, repeatable: bool) -> Any:
        try:
            return await self._exchange(command, instead)
        except AuthenticationError:
            raise
        except RedisConnectionError:
            if not repeatable:
                raise
            await self._drop_idle()  # where one is broken, the others probably are
            return await self._exchange(command, instead)

    async def _exchange(self, command: Command, instead: Command | None) -> Any:
        connection = self._idle.pop() if self._idle else self._make()
        try:
            if connection.is_connected and await _is_stale(connection):
                await connection.disconnect(nowait=True)
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py does not type it
            answer = await self._answer(connection, command, instead)
        except ResponseError:
            await self._give_back(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        await self._give_back(connection)
        return answer

    async def _answer(self, connection: AbstractConnection, command: Command, instead: Command | None) -> Any:
        await connection.send_command(*command, check_health=False)
        try:
            return await connection.read_response(disable_decoding=True)
        except NoScriptError:
            if instead is None:
                raise
        await connection.send_command(*instead, check_health=False)
        return await connection.read_response(disable_decoding=True)

    async def _give_back(self, connection: AbstractConnection) -> None:
        if self._closed:
            await connection.disconnect(nowait=True)
        else:
            self._idle.append(connection)


async def _is_stale(connection: AbstractConnection) -> bool:
    """Whether the server has closed an idle connection, or has said something that nobody asked for."""
    # Versions of redis-py before 8 know the same question by another name.
    ask: Any = getattr(connection, "can_read", None) or connection.can_read_destructive
    try:
        return bool(await ask())
    except (OSError, RedisError):
        return True
