"""A session over a WebSocket: opened like any request, with failover until the handshake, then relayed both ways.

Everything around it is the same as for any exchange: authentication, interceptors, routing, credential, record. It is
one exchange with one record however long it lasts, and usage is summed over it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from llmgate.codecs.jsons import JSONError
from llmgate.config.model import SessionConfig
from llmgate.formats.sessions import SESSIONS, NamedModel, SessionFormat, renamed, session_at
from llmgate.spec import (
    Deployment,
    GatewayError,
    GatewayRequest,
    InvalidRequestError,
    Outcome,
    PermissionDeniedError,
    ProviderProtocolError,
    ProviderResponse,
    ProviderSocket,
    SocketClose,
    SocketMessage,
    SocketOptions,
    SocketTransport,
)

from .attempt import Try, note_head, read_error
from .candidates import permitted

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["Session", "no_canned_session", "opening"]

GOING_AWAY: Final = 1001
POLICY: Final = 1008
CLEAN: Final = frozenset({1000, 1001, 1005})
"""Close codes of a session that ended as it should."""
NOTES: Final = "session"


def opening(limits: SessionConfig, subprotocols: tuple[str, ...]) -> Callable[[Try], Awaitable[ProviderSocket]]:
    """What makes one try at opening a session, for ``dispatch``.

    Args:
        limits: How sessions behave.
        subprotocols: What to offer the provider.
    """
    options = SocketOptions(
        subprotocols=subprotocols, max_message_bytes=limits.max_message_bytes, heartbeat=limits.heartbeat
    )

    async def run(tried: Try) -> ProviderSocket:
        """Shake hands.

        Raises:
            ProviderError: the provider cannot be reached, or refuses.
        """
        provider = tried.call.deployment.provider_name
        transport = tried.runtime.transport
        if not isinstance(transport, SocketTransport):
            raise ProviderProtocolError(
                f"provider {provider!r} is reached by a transport that has no WebSockets", provider_name=provider
            )
        opened = await transport.open_socket(tried.request, options)
        if not isinstance(opened, ProviderResponse):
            note_head(tried, 101, opened.headers)
            return opened
        note_head(tried, opened.status, opened.headers)
        if opened.status < 400:
            raise ProviderProtocolError(
                f"provider {provider!r} answered {opened.status} and opened no WebSocket",
                provider_name=provider,
                upstream_status=opened.status,
                retryable=True,
            )
        raise read_error(tried, opened)

    return run


def no_canned_session() -> InvalidRequestError:
    """The error where an interceptor answers what can only be opened."""
    return InvalidRequestError(
        "an interceptor answers this request itself, and a session cannot be answered: take it out of the chain of "
        "sessions, or have it refuse with an error",
        code="session_not_answerable",
    )


class Session:
    """An open session; one task may receive while another sends.

    Args:
        frame: The exchange.
        upstream: The provider's end.
        request: What opened it.
    """

    def __init__(self, frame: ExchangeFrame, upstream: ProviderSocket, request: GatewayRequest) -> None:
        self._frame = frame
        self._upstream = upstream
        self._request = request
        self._attempt = frame.exchange.attempts[-1]
        self.format: SessionFormat = SESSIONS.get(request.format) or session_at(
            request.relay.path if request.relay else ""
        )
        self.outcome: Outcome = self._attempt.outcome
        self.subprotocol = upstream.subprotocol
        self.finished = False
        self.closed = False
        self._restricted = frame.view.principal.is_restricted
        self._looks = self._restricted or self.format.one_model or self._renames
        self._refused = 0

    @property
    def _renames(self) -> bool:
        return self._attempt.deployment.model != self._request.model

    async def receive(self) -> SocketMessage | SocketClose:
        """The provider's next message, as it came, or how it has closed.

        Raises:
            ProviderError: the session broke; the exchange has been told.
        """
        try:
            message = await self._upstream.receive()
        except GatewayError as failure:
            raise self._frame.failed(failure) from None
        if isinstance(message, SocketClose):
            self.note_end("provider", message)
        else:
            self.format.observe(message.data, self.outcome)
        return message

    async def send(self, message: SocketMessage) -> SocketMessage | None:
        """Send a message of the client's on, as it came but for a model that the provider calls otherwise.

        Returns:
            None when it was sent; else the event that answers one which asks for what the caller may not have.

        Raises:
            ProviderError: the session broke; the exchange has been told.
        """
        if self._looks:
            try:
                message = self._checked(message)
            except (GatewayError, JSONError) as failure:
                return self._refusal(failure)
        try:
            await self._upstream.send(message)
        except GatewayError as failure:
            raise self._frame.failed(failure) from None
        return None

    def note_end(self, who: str, end: SocketClose) -> None:
        """Write down who ended the session and how; only the first to say so counts.

        Args:
            who: ``client``, ``provider`` or ``gateway``.
            end: What was said.
        """
        notes = self._frame.exchange.notes(NOTES)
        if "metadata" not in notes:
            notes["metadata"] = {"closed-by": who, "close-code": str(end.code)}
        self.finished = True
        self.outcome.complete = end.code in CLEAN

    async def lapsed(self) -> SocketClose:
        """Wait until the caller would not be let in any more: its key was revoked, has ended, or may do other things.

        Returns:
            How to close the session; it never returns for a caller in process, or where nobody is to look.
        """
        return SocketClose(POLICY, await self._frame.lapsed())

    async def close(self, end: SocketClose) -> None:
        """Close the provider's end. Idempotent."""
        if not self.closed:
            self.closed = True
            await self._upstream.close(end)

    async def aclose(self) -> None:
        """Close a session that nobody has ended. Idempotent."""
        await self.close(SocketClose(GOING_AWAY))

    def _checked(self, message: SocketMessage) -> SocketMessage:
        """The message with models called as the provider calls them.

        Raises:
            GatewayError: a model may not be used in this session.
            JSONError: the event could be read in two ways.
        """
        data = message.data
        for model in self.format.models_in(data):
            name = self._permitted(model)
            if name != model.name:
                data = renamed(data, model, name)
        if self._restricted and self.format.hides_model(data):
            raise PermissionDeniedError(
                "this key may not call every model: name the model in each event that asks for an answer",
                param="model",
                code="model_not_allowed",
            )
        return message if data is message.data else SocketMessage(data, message.text)

    def _refusal(self, failure: GatewayError | JSONError) -> SocketMessage:
        error = failure if isinstance(failure, GatewayError) else InvalidRequestError(f"the event: {failure}")
        self._refused += 1
        return SocketMessage(self.format.error_event(error, f"event_{self._frame.id}_{self._refused}"))

    def _permitted(self, model: NamedModel) -> str:
        """What the provider calls a model that an event names.

        Raises:
            GatewayError: it may not be used here.
        """
        deployment = self._attempt.deployment
        if model.main and model.name in {self._request.model, deployment.model}:
            return deployment.model
        param = ".".join(model.path)
        if model.main and self.format.one_model:
            raise InvalidRequestError(
                f"this session was opened for model {self._request.model!r}: open another connection for "
                f"{model.name[:200]!r}",
                param=param,
                code="session_model_fixed",
            )
        if self._restricted:
            other = Deployment(f"{deployment.provider_name}/{model.name}", deployment.provider, model.name)
            try:
                permitted(self._frame.view.principal, (other,), model.name[:200])
            except PermissionDeniedError as denied:
                denied.param = param
                raise
        return model.name
