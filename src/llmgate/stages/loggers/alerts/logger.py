"""The logger that takes every record, keeps none, and tells when a threshold is passed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from llmgate.spec import Logger, Record, SecretRef, StageContext
from llmgate.stages.loggers.signing import look_at_secret

from .config import AlertsConfig
from .delivery import Delivery
from .watch import Watch
from .windows import SLOTS

__all__ = ["Alerts"]


class Alerts(Logger[AlertsConfig]):
    """Watches records for thresholds; each process of a gateway sees the records of its own requests.

    Counting a record waits for nobody: what is to be told is sent from a task beside it.
    """

    name = "alerts"
    config_class = AlertsConfig

    def __init__(self, config: AlertsConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._watches: Sequence[Watch] = ()
        self._delivery: Delivery | None = None
        self._looking: asyncio.Task[None] | None = None

    async def open(self, context: StageContext) -> None:
        """Look at the secrets; no receiver is asked yet.

        Raises:
            PluginError: a signing secret is too short.
            SecretNotFoundError: a secret is not there.
        """
        for receiver in self.config.send:
            if receiver.secret is not None:
                await look_at_secret(context, receiver.secret)
            for ref in (receiver.url, receiver.authorization):
                if isinstance(ref, SecretRef):
                    await context.fetch_secret(ref)
        self._context = context
        self._watches = tuple(Watch(rule, context.clock) for rule in self.config.rules)
        self._delivery = Delivery(self.config, context)

    async def record(self, record: Record) -> None:
        """Count a record."""
        if self._delivery is None:
            return
        for watch in self._watches:
            for notice in watch.take(record):
                self._delivery.add(notice)
        self._keep_looking()

    async def aclose(self) -> None:
        """Send what waits, within five seconds; what has been counted is forgotten."""
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.cancel()
            await asyncio.wait({looking})
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            await delivery.aclose()
        self._watches, self._context = (), None

    def _keep_looking(self) -> None:
        """Have a task look now and then while something is to be taken back, since nobody may ever call again."""
        if any(watch.firing for watch in self._watches) and (self._looking is None or self._looking.done()):
            context = self._context
            assert context is not None, "records are taken between open and aclose"
            self._looking = asyncio.create_task(self._look(context), name=f"{context.id}: look at alerts")

    async def _look(self, context: StageContext) -> None:
        while firing := [watch for watch in self._watches if watch.firing]:
            await context.clock.sleep(min(watch.rule.window for watch in firing) / SLOTS)
            delivery = self._delivery
            for watch in firing:
                for notice in watch.look():
                    if delivery is not None:
                        delivery.add(notice)
