"""Brings notices to those who are told: in their order, a few tries each, and never in the way of counting."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

import attrs

from llmgate.spec import DeliveryError, GatewayError, RecordService, SecretRef, StageContext, a_service
from llmgate.stages.loggers.signing import event_headers, moment_of, signature_of

from .config import AlertsConfig, Receiver
from .notices import Notice

__all__ = ["Delivery"]

log: Final = logging.getLogger("llmgate.alerts")

_FIRST_PAUSE: Final = 1.0
"""Seconds before the second try; every further one takes four times as long, or what the receiver asks for."""
_LONGEST_PAUSE: Final = 60.0
_CLOSING: Final = 5.0
"""Seconds that what waits gets when the gateway closes."""


class Delivery:
    """Sends notices from one task, which is there only while some wait.

    Args:
        config: Who is told.
        context: Time, HTTP and secrets.

    Attributes:
        dropped: Notices that found too many waiting.
        failed: Notices that a receiver did not take, counted for each receiver.
    """

    def __init__(self, config: AlertsConfig, context: StageContext) -> None:
        self.dropped = 0
        self.failed = 0
        self._config = config
        self._context = context
        self._waiting: deque[Notice] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, notice: Notice) -> None:
        """Send a notice soon."""
        if len(self._waiting) >= self._config.waiting:
            if self.dropped == 0:
                log.error("%s: too many alerts wait to be sent; further ones are counted", self._context.id)
            self.dropped += 1
            return
        self._waiting.append(notice)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_all(), name=f"{self._context.id}: send alerts")

    async def aclose(self) -> None:
        """Send what waits, within five seconds."""
        task, self._task = self._task, None
        if task is not None:
            await asyncio.wait({task}, timeout=_CLOSING)
            task.cancel()
            await asyncio.wait({task})
        lost, self._waiting = len(self._waiting), deque()
        if lost or self.dropped:
            log.error("%s: %d alerts are not sent", self._context.id, lost + self.dropped)

    async def _send_all(self) -> None:
        while self._waiting:
            notice = self._waiting[0]
            # All at once: one that is down does not keep the others waiting for longer than one notice's tries.
            await asyncio.gather(*(self._bring(notice, one) for one in self._config.send))
            self._waiting.popleft()

    async def _bring(self, notice: Notice, receiver: Receiver) -> None:
        if receiver.to == "log":
            log.log(logging.INFO if notice.resolved else logging.WARNING, "%s", notice.text())
            return
        pause = _FIRST_PAUSE
        for left in range(self._config.tries - 1, -1, -1):
            try:
                await self._send(notice, receiver)
            except DeliveryError as error:
                if not left or error.unacceptable:
                    self.failed += 1
                    log.error("%s: an alert of %s is not sent: %s", self._context.id, notice.rule.name, error)  # noqa: TRY400 - the words are enough
                    return
                await self._context.clock.sleep(min(error.pause or pause, _LONGEST_PAUSE))
                pause *= 4
            except Exception:
                self.failed += 1
                log.exception("%s: an alert of %s is not sent", self._context.id, notice.rule.name)
                return
            else:
                return

    async def _send(self, notice: Notice, receiver: Receiver) -> None:
        context = self._context
        name = f"the {receiver.to} receiver of {context.id}"
        headers = {"content-type": "application/json", "user-agent": "llmgate"}
        try:
            url = await _address(context, receiver, name)
            if receiver.to == "webhook":
                body = notice.as_event(moment_of(notice.at))
                headers = event_headers(notice.id, context.clock.now())
                if receiver.secret is not None:
                    headers["webhook-signature"] = await signature_of(context, receiver.secret, headers, body)
                if receiver.authorization is not None:
                    headers["authorization"] = (await context.fetch_secret(receiver.authorization)).reveal()
            else:
                body = notice.for_slack() if receiver.to == "slack" else notice.for_discord()
        except GatewayError as error:
            raise DeliveryError(str(error)) from None
        service = RecordService(name, context.transport, context.clock, self._config.timeout)
        await service.send("POST", url, headers, body)


async def _address(context: StageContext, receiver: Receiver, name: str) -> str:
    """Where to send; an address that is a secret is looked at here, and never shown.

    Raises:
        DeliveryError: it is no address.
        SecretNotFoundError: it is not there.
    """
    if not isinstance(receiver.url, SecretRef):
        assert receiver.url is not None, "the config wants one"
        return receiver.url
    url = (await context.fetch_secret(receiver.url)).reveal().strip()
    try:
        a_service(None, attrs.fields(Receiver).url, url)
    except ValueError:
        raise DeliveryError(f"{name}: what {receiver.url} holds is no https:// address") from None
    return url
