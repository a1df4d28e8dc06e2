"""WebSockets as stages see them: messages are values, and a transport that can open one says so by its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

import attrs

from .transport import ProviderRequest, ProviderResponse

__all__ = ["NO_STATUS", "ProviderSocket", "SocketClose", "SocketMessage", "SocketOptions", "SocketTransport"]

NO_STATUS: Final = 1005
"""Stands for a close frame without a code; it is never sent (RFC 6455, section 7.4.1)."""


@attrs.frozen(eq=False)
class SocketMessage:
    """A whole message, its fragments put together.

    Args:
        data: The payload; UTF-8 where ``text`` is True.
        text: Whether it came, or is to go, in text frames rather than binary ones.
    """

    data: bytes = attrs.field(repr=False)
    text: bool = True


@attrs.frozen
class SocketClose:
    """How a side has closed the connection.

    Args:
        code: The close code (RFC 6455, section 7.4); ``NO_STATUS`` where the frame had none.
        reason: The peer's words, at most 123 bytes of UTF-8.
    """

    code: int = NO_STATUS
    reason: str = ""


@attrs.frozen
class SocketOptions:
    """How a WebSocket to a provider behaves.

    Args:
        subprotocols: What is offered in ``Sec-WebSocket-Protocol``, in order of preference.
        max_message_bytes: Upper bound of one message of the provider, fragments put together.
        heartbeat: Seconds between two pings; a provider that does not answer one within half of it is given up.
        close_timeout: Seconds to wait for the provider's own close frame.
    """

    subprotocols: Sequence[str] = ()
    max_message_bytes: int = 16 * 1024 * 1024
    heartbeat: float = 20.0
    close_timeout: float = 2.0


class ProviderSocket(Protocol):
    """An open WebSocket to a provider; one task may receive while another sends."""

    subprotocol: str | None
    headers: Mapping[str, str]

    async def receive(self) -> SocketMessage | SocketClose:
        """The next message, or how the provider has closed; pings are answered underneath.

        Raises:
            ProviderTimeoutError: a ping was not answered.
            ProviderConnectionError: the connection broke without a close frame.
            ProviderProtocolError: a frame is broken, or a message too large.
        """
        ...

    async def send(self, message: SocketMessage) -> None:
        """Send a message; waits while the provider does not keep up.

        Raises:
            ProviderTimeoutError: the provider takes no bytes within the idle timeout.
            ProviderConnectionError: the connection is gone.
        """
        ...

    async def close(self, end: SocketClose) -> None:
        """Say why, wait a moment for the provider to say so too, and close. Idempotent."""
        ...


@runtime_checkable
class SocketTransport(Protocol):
    """A ``Transport`` that can open WebSockets as well."""

    async def open_socket(self, request: ProviderRequest, options: SocketOptions) -> ProviderSocket | ProviderResponse:
        """Ask for a WebSocket; redirects are never followed, compression is never agreed to.

        Args:
            request: The handshake: a GET, its address with ``http`` or ``https``, its headers without those of the
                upgrade itself.
            options: How the socket behaves.

        Returns:
            The open socket; where the provider answers with anything but 101, that answer.

        Raises:
            ProviderTimeoutError: it did not answer in time.
            ProviderConnectionError: it cannot be reached.
            ProviderProtocolError: what it answered is no WebSocket handshake.
        """
        ...
