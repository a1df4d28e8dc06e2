"""A WebSocket to a provider that plays a script and remembers what it was told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from llmgate.spec import SocketClose, SocketMessage

__all__ = ["ScriptedSocket"]

Step = str | bytes | SocketMessage | SocketClose | BaseException | asyncio.Event
"""What a script is made of: messages and a close to hand over, exceptions to raise, events to wait for."""


class ScriptedSocket:
    """Implements ``llmgate.spec.ProviderSocket`` without a network; at the end of its script it is silent.

    Args:
        *steps: What ``receive`` gives, in order; text as ``str``, binary as ``bytes``.
        subprotocol: What the handshake has agreed on.
        headers: The headers of the handshake's answer, lower-case names.
        failure: What ``send`` raises; None to take everything.

    Attributes:
        sent: Every message sent, oldest first.
        ended: How it was closed, None while it is open.
    """

    def __init__(
        self,
        *steps: Step,
        subprotocol: str | None = None,
        headers: Mapping[str, str] | None = None,
        failure: BaseException | None = None,
    ) -> None:
        self.subprotocol = subprotocol
        self.headers: Mapping[str, str] = headers or {}
        self.sent: list[SocketMessage] = []
        self.ended: SocketClose | None = None
        self._failure = failure
        self._steps = iter(steps)

    async def receive(self) -> SocketMessage | SocketClose:
        """The next step of the script."""
        for step in self._steps:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
                continue
            if isinstance(step, SocketMessage | SocketClose):
                return step
            return SocketMessage(step.encode()) if isinstance(step, str) else SocketMessage(step, text=False)
        nothing: asyncio.Future[SocketMessage] = asyncio.get_running_loop().create_future()
        return await nothing

    async def send(self, message: SocketMessage) -> None:
        """Remember a message."""
        if self._failure is not None:
            raise self._failure
        self.sent.append(message)

    async def close(self, end: SocketClose) -> None:
        """Remember how it was closed."""
        self.ended = self.ended or end
