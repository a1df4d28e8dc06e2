"""Beside the requests: probes who is left out, and shares what is known of it with other processes.

Where the state store that ``discover.monitor.health.state`` names is shared, each process publishes what it has learned
and hears what the others have, and one of them, which holds a lease, probes for all. What is shared is advice: without
the store each process goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from llmgate.spec import Deployment, GatewayError, StateStore

from .checkup import instance_of
from .health import Health
from .probing import probe
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["HealthWatch"]

log = logging.getLogger("llmgate.health")

CHANNEL: Final = "health"
LONGEST: Final = 2048
"""Bytes of a message; a longer one is none of ours."""
AT_ONCE: Final = 4
"""Providers that are probed at the same time."""
PAUSE: Final = 5.0
"""Seconds between two tries to listen to a store that is not there."""


class HealthWatch:
    """Watches the health of one edition of a Pipeline, from ``start`` to ``aclose``.

    Args:
        pipeline: Whose deployments are watched.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._health: Health = pipeline.snapshot.health
        self._config = self._health.config
        self._store = _shared_store(pipeline.snapshot)
        self._me = uuid.uuid4().hex
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; nothing runs before somebody is left out but the ear to the store."""
        loop = asyncio.get_running_loop()
        self._health.listener = self._changed
        if self._config.probe_interval > 0:
            self._tasks.append(loop.create_task(self._probe_all()))
            if self._health.failing():
                self._wanted.set()
        if self._store is not None:
            self._tasks.append(loop.create_task(self._listen(self._store)))

    def fits(self, snapshot: Snapshot) -> bool:
        """Whether it can go on with another edition: what it watches, and where it shares it, are the same."""
        return snapshot.health is self._health and _shared_store(snapshot) is self._store

    async def aclose(self) -> None:
        """End. Idempotent."""
        if self._health.listener == self._changed:
            self._health.listener = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _changed(self, deployment: Deployment) -> None:
        """A deployment of this process is left out, or back."""
        if self._health.failing():
            self._wanted.set()
        if self._store is not None:
            told = self._health.told(deployment, self._now())
            message = json.dumps({"from": self._me, "instance": instance_of(deployment), "out": told})
            self._pipeline.own(self._publish(self._store, message.encode()))

    async def _publish(self, store: StateStore[Any], message: bytes) -> None:
        try:
            await store.publish(CHANNEL, message)
        except Exception as failure:  # noqa: BLE001 - whatever a store raises, health is learned without it
            log.debug("what is known of health was not shared: %s", failure)

    async def _listen(self, store: StateStore[Any]) -> None:
        while True:
            try:
                async with store.subscribe(CHANNEL) as messages:
                    async for message in messages:
                        self._hear(message)
            except Exception as failure:  # noqa: BLE001 - as above
                log.debug("what others know of health is not heard: %s", failure)
            await self._pipeline.clock.sleep(PAUSE)

    def _hear(self, message: bytes) -> None:
        if len(message) > LONGEST:
            return
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            said: Mapping[str, Any] = json.loads(message)
            if said["from"] != self._me:
                self._health.hear(str(said["instance"]), said["out"], self._now())
                self._wanted.set()

    async def _probe_all(self) -> None:
        clock, interval = self._pipeline.clock, self._config.probe_interval
        turns = asyncio.Semaphore(AT_ONCE)
        while True:
            await self._wanted.wait()
            # Processes that have learned of it together do not ask together.
            await clock.sleep(interval * (0.9 + clock.random() / 5))
            found = self._health.failing()
            if not found:
                self._wanted.clear()
            await asyncio.gather(*(self._probe(one, turns) for one in found))

    async def _probe(self, deployment: Deployment, turns: asyncio.Semaphore) -> None:
        async with turns:
            pipeline = self._pipeline
            try:
                if not await self._is_ours(deployment):
                    return
                passed = await probe(
                    pipeline.snapshot,
                    pipeline.secrets,
                    deployment,
                    timeout=self._config.probe_timeout,
                    now=pipeline.clock.now(),
                )
            except Exception:
                log.exception("%s could not be probed", deployment.id)
                return
            if passed is not None:
                self._health.probed(deployment, self._now(), passed=passed)

    async def _is_ours(self, deployment: Deployment) -> bool:
        """Whether this process is the one that probes a deployment; each for itself while the store is not there."""
        if self._store is None:
            return True
        key = f"health-probe/{instance_of(deployment)}"
        try:
            return await self._store.lease(key, self._me, limit=1, ttl=3 * self._config.probe_interval)
        except GatewayError:
            return True

    def _now(self) -> float:
        return self._pipeline.clock.monotonic()


def _shared_store(snapshot: Snapshot) -> StateStore[Any] | None:
    """The store that other processes see as well; None where it is none of that kind."""
    store = snapshot.state.get(snapshot.health.config.state)
    return store if store is not None and store.shared else None
