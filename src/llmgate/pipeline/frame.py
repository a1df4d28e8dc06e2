"""The call frame of one exchange: entering authenticates, leaving settles exactly once, whatever happened.

Accounting hangs on this frame and on no generator: an ``await`` in the ``finally`` of a streaming generator is
cancelled when the client leaves, and sometimes the generator is not closed at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmgate.formats import get_format
from llmgate.spec import (
    Clock,
    Credentials,
    Exchange,
    ExchangeView,
    GatewayClosedError,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Operation,
    Principal,
    Secret,
    StreamEncoder,
)
from llmgate.wire.alarm import Alarm

from .attempt import Try, answer
from .authentication import authenticate
from .caller_keys import bring_key, hold_to_principal
from .candidates import find_route, is_served, relay_candidates
from .carrying import Answered, as_taken, carry
from .chain import Chain
from .costs import asks_cost
from .credentials import SecretBroker
from .dispatch import dispatch
from .ending import Ending, not_recorded
from .ids import new_id
from .kept import KeptStream
from .lapsing import until_lapsed
from .live import CannedStream, LiveStream, StreamSource
from .relaying import RelayAnswer, open_relay
from .sessions import Session, no_canned_session, opening
from .snapshot import Snapshot
from .streaming import GatewayStream, open_stream

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .repeating import Way

__all__ = ["ExchangeFrame"]

T = TypeVar("T")

log = logging.getLogger("llmgate.exchange")


class ExchangeFrame(Ending):
    """One exchange, made by ``Pipeline.exchange``; use it with ``async with`` and send one request through it.

    Args:
        pipeline: Whose exchange it is.
        operation: What is asked for.
        credentials: What the caller presented; None for a caller in process.
        principal: Who asks, where that is already known.
        surface: Which door it came through.
        client_address: The peer's address.
        client_request_id: The caller's own request id.
        controls: What a caller in process says in the place of headers; names as in ``control_headers``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        operation: Operation,
        credentials: Credentials | None,
        principal: Principal | None,
        surface: str,
        client_address: str,
        client_request_id: str | None,
        controls: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pipeline)
        self.credentials = credentials
        self._given = principal
        self.clock: Clock = pipeline.clock
        self.snapshot: Snapshot = pipeline.snapshot
        self.secrets: SecretBroker = pipeline.secrets
        self.own_key = False
        """Whether the caller's own key at a provider counts whatever the route says of such keys."""
        self.repeated = False
        """Whether it sends a request again that another exchange has had answered, so that nobody waits for it."""
        self.caller_key: Secret | None = None
        """The caller's own key at a provider, in the place of the operator's."""
        self.chain: Chain = self.snapshot.unified.chain
        headers = credentials.headers if credentials is not None else {}
        started_at = self.clock.now()
        self.exchange = Exchange(
            id=new_id(started_at),
            operation=operation,
            surface=surface,
            started_at=started_at,
            started=self.clock.monotonic(),
            client_request_id=client_request_id,
            client_address=client_address,
            client_headers={**headers, **controls} if controls else headers,
        )
        if self.snapshot.config.records.stages:
            self.exchange.steps = []
        if self.snapshot.capturing is not None:
            self.capture = self.snapshot.capturing.begin(self.exchange.client_headers)
        if self.snapshot.tracing is not None:
            self.exchange.trace = self.snapshot.tracing.begin(self.exchange.client_headers)
        self.view = ExchangeView(self.exchange)
        self._deadline = self._last_word = self.exchange.started + self.snapshot.config.timeouts.total
        self.encoder: StreamEncoder | None = None
        """What has written the stream so far, and can end it with an error; None before the first event."""

    async def __aenter__(self) -> Self:
        if not self._pipeline.ready:
            raise GatewayClosedError("the pipeline is not open: use it inside `async with pipeline`")
        try:
            self.exchange.principal = self._given or await authenticate(self.snapshot.auth, self.credentials)
        except BaseException as failure:
            self._note_authentication(failure)
            await self._leave(failure)
            raise
        if self.exchange.steps is not None:
            self._note_authentication(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(failure)

    async def refuse(
        self, error: GatewayError, told: Mapping[str, str], *, age: float, headers: Mapping[str, str]
    ) -> None:
        """Account for a request that was refused before anybody asked who sends it; in the place of entering.

        Args:
            error: Why.
            told: What the record's metadata tell of it.
            age: Seconds since it began.
            headers: Its headers, lower-case names.
        """
        exchange = self.exchange
        exchange.started, exchange.started_at = exchange.started - age, exchange.started_at - age
        exchange.client_headers = headers
        exchange.notes("llmgate")["metadata"] = told
        await self._leave(error)

    async def send(
        self, request: GatewayRequest, *, otherwise: Callable[[GatewayRequest], GatewayResponse] | None = None
    ) -> GatewayResponse:
        """Send a request and return its whole answer, in the request's wire format.

        Args:
            request: What is asked.
            otherwise: Answers where no provider of the model serves the operation; None to say that none does.

        Raises:
            GatewayError: why there is no answer.
        """
        self._begin(request, "send")
        return await self._held(self._send(request, otherwise))

    async def _send(
        self, request: GatewayRequest, otherwise: Callable[[GatewayRequest], GatewayResponse] | None
    ) -> GatewayResponse:
        async def run(tried: Try) -> GatewayResponse:
            response = await answer(tried, get_format(request.format).answering(request))
            self.note_content(tried.attempt)
            return response

        try:
            with Alarm(self.remaining()):
                prepared = await self._admit(request)
                if isinstance(prepared, GatewayRequest):
                    self.exchange.request = prepared
                    if otherwise is not None and not is_served(self.snapshot, prepared):
                        response = otherwise(prepared)
                    else:
                        response = await dispatch(self, prepared, run)
                else:
                    response = prepared
                response = await self.chain.after_response(self.view, response, self._entered[0])
        except TimeoutError:
            raise self.failed(self._timed_out()) from None
        except GatewayError as error:
            raise self.failed(error) from None
        self.exchange.outcome = response.outcome
        self.exchange.status = response.status
        if self.capture is not None:
            self.capture.answered(response.body, response.media_type)
        await self.seal()
        return response

    async def stream(self, request: GatewayRequest, *, decode: bool = False) -> GatewayStream:
        """Send a request and return its stream once the first content has come; until then failover is free.

        Args:
            request: What is asked.
            decode: Whether the caller wants ``stream.chunks()`` rather than bytes.

        Raises:
            GatewayError: why there is no stream.
        """
        self._begin(request, "stream")
        return await self._held(self._open_stream(request, decode=decode or asks_cost(self.exchange)))

    async def _open_stream(self, request: GatewayRequest, *, decode: bool) -> GatewayStream:
        async def run(tried: Try) -> LiveStream:
            live = await open_stream(tried, decode=decode or self.chain.reads_stream)
            self.note_content(tried.attempt)
            return live

        source: StreamSource
        try:
            with Alarm(self.remaining()):
                prepared = await self._admit(request)
                if isinstance(prepared, GatewayRequest):
                    request = self.exchange.request = prepared
                    source = await dispatch(self, prepared, run)
                elif prepared.streamed:
                    source = KeptStream(prepared, decode=decode or self.chain.reads_stream)
                else:
                    source = CannedStream(prepared, include_usage=request.include_usage)
        except TimeoutError:
            raise self.failed(self._timed_out()) from None
        except GatewayError as error:
            raise self.failed(error) from None
        stream = self._stream = GatewayStream(self, source, request)
        self.exchange.outcome = source.outcome
        self.exchange.status = 200
        if self.capture is not None:
            self.capture.streams(stream.media_type, request.format)
        return stream

    async def relay(self, provider_name: str, request: GatewayRequest) -> RelayAnswer:
        """Hand a request to one provider as it is; returns once the head of the answer has come.

        Args:
            provider_name: The configured name of the provider.
            request: What is asked, with ``relay`` set.

        Raises:
            GatewayError: why there is no answer; an error answer of the provider is an answer.
        """
        self._begin(request)
        upstream, response = None, None
        with self._timed():
            prepared = await self._admit(request)
            if isinstance(prepared, GatewayRequest):
                self.exchange.request = prepared
                candidates = relay_candidates(self.snapshot, provider_name, prepared.model, prepared.router)
                upstream = await dispatch(self, prepared, open_relay, candidates)
                self.note_content(self.exchange.attempts[-1])
            else:
                response = prepared
        answer = self._stream = RelayAnswer(self, upstream, response)
        if self.capture is not None:
            self.capture.streams(answer.media_type, answer.stream_format)
        self.exchange.outcome = answer.outcome
        self.exchange.status = answer.status
        return answer

    async def carry(self, request: GatewayRequest) -> GatewayResponse | GatewayStream | RelayAnswer:
        """Send a request and return its answer as what it turns out to be: whole, events, or bytes.

        Args:
            request: What is asked, in a wire format whose answers are of several kinds.

        Raises:
            GatewayError: why there is no answer.
        """

        async def run(tried: Try) -> Answered:
            answered = await carry(tried)
            self.note_content(tried.attempt)
            return answered

        self._begin(request, "carry")
        answered: Answered
        with self._timed():
            prepared = await self._admit(request)
            if isinstance(prepared, GatewayRequest):
                request = self.exchange.request = prepared
                answered = await dispatch(self, prepared, run)
            else:
                answered = prepared
            if isinstance(answered, GatewayResponse):
                answered = await self.chain.after_response(self.view, answered, self._entered[0])
        if isinstance(answered, GatewayResponse):
            self.exchange.outcome, self.exchange.status = answered.outcome, answered.status
            if self.capture is not None:
                self.capture.answered(answered.body, answered.media_type)
            await self.seal()
            return answered
        taken = self._stream = as_taken(self, answered, request)
        if self.capture is not None:
            known = request.format if isinstance(taken, GatewayStream) else taken.stream_format
            self.capture.streams(taken.media_type, known)
        self.exchange.outcome, self.exchange.status = taken.outcome, 200
        return taken

    async def session(
        self, request: GatewayRequest, provider_name: str | None = None, *, subprotocols: Sequence[str] = ()
    ) -> Session:
        """Open a session over a WebSocket; until the handshake has succeeded failover is free.

        Args:
            request: What is asked, with ``relay`` set.
            provider_name: The only provider that may hold it; None to find those that do by the model's name.
            subprotocols: What to offer as ``Sec-WebSocket-Protocol``.

        Raises:
            GatewayError: why there is no session.
        """
        self._begin(request)
        with self._timed():
            prepared = await self._admit(request)
            if not isinstance(prepared, GatewayRequest):
                raise no_canned_session()
            request = self.exchange.request = prepared
            candidates = provider_name and relay_candidates(self.snapshot, provider_name, request.model)
            run = opening(self.snapshot.config.sessions, tuple(subprotocols))
            upstream = await dispatch(self, request, run, candidates or None)
            self.note_content(self.exchange.attempts[-1])
        session = self._stream = Session(self, upstream, request)
        self.exchange.outcome = session.outcome
        self.exchange.status = 101
        return session

    def _note_authentication(self, failure: BaseException | None) -> None:
        word = failure.code if isinstance(failure, GatewayError) else "passed" if failure is None else "failed"
        self.exchange.step("auth", word, self.clock.monotonic() - self.exchange.started)

    def _admit(self, request: GatewayRequest) -> Awaitable[GatewayRequest | GatewayResponse]:
        """Ask the interceptors; see ``Chain.before_request``."""
        if self.exchange.steps is None:
            return self.chain.before_request(self.view, request, self._entered)
        return self.chain.measured(self.exchange, self.view, request, self._entered, self.clock)

    async def lapsed(self) -> str:
        """Wait until the caller would not be let in any more, and say why; for ever where that is not looked at."""
        every, credentials = self.snapshot.config.sessions.recheck, self.credentials
        if credentials is None or every <= 0:
            await asyncio.Event().wait()
        assert credentials is not None, "nobody sets the event"
        pipeline = self._pipeline  # its snapshot, which a reload replaces, and not the one that is pinned
        return await until_lapsed(lambda: pipeline.snapshot.auth, credentials, self.view.principal, self.clock, every)

    def abandon(self) -> None:
        """Say that the caller has left, before its task is cancelled."""
        self.exchange.disconnected = True

    def sent(self, data: bytes) -> None:
        """Show the bytes of a stream that go down now to whoever watches them."""
        if self.capture is not None:
            self.capture.sent(data)
        if self.chain.watches_bytes:
            self.chain.on_sent(self.view, data, self._entered[0])

    def chance(self) -> float:
        """A number in [0, 1)."""
        return self.clock.random()

    def _begin(self, request: GatewayRequest, way: Way | None = None) -> None:
        if self.exchange.request is not None:
            raise RuntimeError("an exchange carries one request: open another exchange for the next one")
        if self._pin.journal is not None and self._pin.journal.refuses:
            raise self.failed(not_recorded())
        self.exchange.request = request
        self.exchange.operation = request.operation
        if self.view.principal.scopes is not None or self.view.principal.secrets:
            hold_to_principal(self, request.operation)
        route = find_route(self.snapshot, request.router, request.model)
        if route is not None and route.total is not None:
            self._deadline = self.exchange.started + route.total
        if request.deadline is not None:
            self._deadline = min(self._deadline, request.deadline)
        self._last_word = self._deadline
        if self.exchange.client_headers and not self.repeated:
            self._heed(request)
        self.exchange.router = route.id if route is not None else request.router
        self.chain = route.chain if route is not None else self.snapshot.unified.chain
        self._reads_on = route.drains if route is not None else self.snapshot.unified.drains
        if self.own_key or (route is not None and route.caller_keys):
            bring_key(self, self.credentials)
        if way is not None and self.chain.repeats and not self.repeated and self.exchange.target is None:
            self.exchange.repeater = partial(self._pipeline.repeats.begin, self, way)

    async def _held(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; where answers are read to their end, in a task of its own that the caller's leaving spares."""
        if not self._reads_on:
            return await work
        task = self._pipeline.own(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._work = task
            raise
