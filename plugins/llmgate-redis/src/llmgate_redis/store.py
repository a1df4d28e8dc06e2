"""The state store: each method is one command or one script, and so one round trip and atomic."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from redis.exceptions import AuthenticationError, RedisError

from llmgate.spec import Claim, GatewayClosedError, PluginError, Rate, RateDecision, StageContext, StateStore, Units

from .address import maker
from .breaker import Breaker
from .channels import Listener
from .config import RedisConfig
from .connections import Command, Connections, reason_of
from .keys import Keys, milliseconds
from .rates import claim_arguments, decision_of, decisions_of, rate_arguments
from .scripts import Script, Scripts

__all__ = ["Redis"]


class Redis(StateStore[RedisConfig]):
    """Keeps state in Redis or Valkey, for every process that uses the same server and prefix.

    What is decided is decided by the server's clock. A call that finds the server gone, slow or unwilling raises
    ``StateUnavailableError`` within ``timeout``; what then happens to the request is for the stage that asked to say.
    """

    name = "redis"
    config_class = RedisConfig
    shared = True

    def __init__(self, config: RedisConfig) -> None:
        super().__init__(config)
        self._keys = Keys(config.prefix)
        self._once = milliseconds(config.once_ttl)
        self._scripts = Scripts()
        self._connections: Connections | None = None
        self._listener: Listener | None = None

    async def open(self, context: StageContext) -> None:
        """Connect, and let the server run a script that changes nothing.

        Raises:
            PluginError: the server cannot be reached, or does not let us in.
        """
        config = self.config
        where, make = await maker(config, context)
        name = f"the state store {context.id}"
        breaker = Breaker(
            name,
            where,
            context.clock,
            failures=config.breaker_failures,
            pause=config.breaker_pause,
            longest=config.breaker_longest_pause,
        )
        connections = self._connections = Connections(
            name,
            where,
            make,
            breaker,
            clock=context.clock,
            trial=("DEL", self._keys.of("value", "")),
            size=config.max_connections,
            timeout=config.timeout,
        )
        command, instead = _script(self._scripts.peek, (self._keys.of("rate", ""),), 1.0, 1.0, 0.0, "")
        try:
            await connections.first(command, instead, config.open_timeout)
        except AuthenticationError as refused:
            raise PluginError(f"{context.id}: {where} refuses to let us in: check username and password") from refused
        except (OSError, RedisError) as failure:
            raise PluginError(
                f"{context.id}: {where} cannot be used: {reason_of(failure)}; start it, or correct the configuration"
            ) from failure
        self._listener = Listener(
            name, where, make, context.clock, queue=config.subscriber_queue, timeout=config.timeout
        )

    async def aclose(self) -> None:
        """Close the connections and end every subscription; the state stays in the server."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.aclose()
        connections, self._connections = self._connections, None
        if connections is not None:
            await connections.aclose()

    async def add(self, key: str, amount: int = 1, *, ttl: float | None = None, once: str | None = None) -> int:
        """Add to a counter of 64 bits and return it."""
        keys = self._keys.with_once("counter", key, once)
        life: int | str = "" if ttl is None or ttl == math.inf else milliseconds(ttl)
        return int(await self._run(self._scripts.add, keys, amount, life, self._once, repeatable=once is not None))

    async def counter(self, key: str) -> int:
        """The counter's value."""
        return int(await self._call("GET", self._keys.of("counter", key), repeatable=True) or 0)

    async def acquire(self, key: str, rate: Rate, cost: float = 1, *, once: str | None = None) -> RateDecision:
        """Spend units of a rate if they are there."""
        arguments = rate_arguments(rate, cost)
        keys = self._keys.with_once("rate", key, once)
        repeatable = once is not None
        return decision_of(await self._run(self._scripts.acquire, keys, *arguments, self._once, repeatable=repeatable))

    async def peek(self, key: str, rate: Rate, cost: float = 1) -> RateDecision:
        """What ``acquire`` would say."""
        keys = self._keys.with_once("rate", key, None)
        return decision_of(await self._run(self._scripts.peek, keys, *rate_arguments(rate, cost), repeatable=True))

    async def refund(self, key: str, rate: Rate, cost: float) -> None:
        """Give units back, or spend more than there are."""
        keys = self._keys.with_once("rate", key, None)
        await self._run(self._scripts.refund, keys, *rate_arguments(rate, cost, negative=True))

    async def claim(self, claims: Sequence[Claim], *, once: str | None = None) -> Sequence[RateDecision]:
        """Take all of several claims, or nothing."""
        arguments = claim_arguments(claims, self._once)
        answer = await self._run(
            self._scripts.claim, self._keys_of(claims, once), *arguments, repeatable=once is not None
        )
        return decisions_of(answer)

    async def give_back(self, claims: Sequence[Claim], *, once: str | None = None) -> None:
        """Give back what has been claimed."""
        arguments = claim_arguments(claims, self._once, negative=True)
        keys = self._keys_of(claims, once, "back")
        await self._run(self._scripts.give_back, keys, *arguments, repeatable=once is not None)

    def _keys_of(self, claims: Sequence[Claim], once: str | None, what: str = "claim") -> tuple[bytes, ...]:
        names = [self._keys.of("rate" if isinstance(one, Units) else "lease", one.key) for one in claims]
        return (*names, *self._keys.with_once(what, claims[0].key, once)[1:])

    async def lease(self, key: str, holder: str, *, limit: int, ttl: float) -> bool:
        """Take or renew a place."""
        if not ttl > 0:
            raise ValueError(f"a lease needs a positive number of seconds, not {ttl}")
        keys = self._keys.with_once("lease", key, None)
        micros = milliseconds(ttl) * 1000
        return bool(await self._run(self._scripts.lease, keys, holder, limit, micros, repeatable=True))

    async def release(self, key: str, holder: str) -> None:
        """Give a place back."""
        await self._call("ZREM", self._keys.of("lease", key), holder, repeatable=True)

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Keep a value."""
        name = self._keys.of("value", key)
        if ttl is None or ttl == math.inf:
            await self._call("SET", name, value, repeatable=True)
        elif ttl > 0:
            await self._call("SET", name, value, "PX", milliseconds(ttl), repeatable=True)
        else:
            await self.delete(key)

    async def get(self, key: str) -> bytes | None:
        """A value kept."""
        value: bytes | None = await self._call("GET", self._keys.of("value", key), repeatable=True)
        return value

    async def delete(self, key: str) -> None:
        """Forget a value."""
        await self._call("DEL", self._keys.of("value", key), repeatable=True)

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a message to whoever subscribes now, in every process."""
        await self._call("PUBLISH", self._keys.channel(channel), message)

    def subscribe(self, channel: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Messages published from the moment the context is entered; those of an interruption are lost."""
        if self._listener is None:
            raise GatewayClosedError("the state store is not open")
        return self._listener.subscribe(self._keys.channel(channel))

    async def _run(
        self, script: Script, keys: tuple[bytes, ...], *arguments: str | float, repeatable: bool = False
    ) -> Any:
        command, instead = _script(script, keys, *arguments)
        return await self._opened.call(command, instead=instead, repeatable=repeatable)

    async def _call(self, *command: str | bytes | int, repeatable: bool = False) -> Any:
        return await self._opened.call(command, repeatable=repeatable)

    @property
    def _opened(self) -> Connections:
        if self._connections is None:
            raise GatewayClosedError("the state store is not open")
        return self._connections


def _script(script: Script, keys: tuple[bytes, ...], *arguments: str | float) -> tuple[Command, Command]:
    """The call of a script by its digest, and the call that brings the script along."""
    rest: Command = (len(keys), *keys, *arguments)
    return ("EVALSHA", script.digest, *rest), ("EVAL", script.text, *rest)
