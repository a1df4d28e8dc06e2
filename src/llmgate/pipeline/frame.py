"""The call frame of one exchange: entering authenticates, leaving settles exactly once, whatever happened.

Accounting hangs on this frame and on no generator: an ``await`` in the ``finally`` of a streaming generator is
cancelled when the client leaves, and sometimes the generator is not closed at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from llmgate.formats import get_format
from llmgate.spec import (
    Clock,
    Credentials,
    Deployment,
    Exchange,
    ExchangeView,
    GatewayClosedError,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    GatewayTimeoutError,
    Operation,
    Principal,
    Provider,
    Record,
    Secret,
    StreamEncoder,
)
from llmgate.wire.alarm import Alarm

from .attempt import Try, answer
from .attempts import Attempts
from .authentication import authenticate
from .caller_keys import bring_key, hold_to_principal
from .candidates import find_route, find_speakers, is_served, relay_candidates
from .carrying import Answered, as_taken, carry
from .chain import Chain
from .costs import asks_cost
from .credentials import SecretBroker
from .dispatch import dispatch
from .holders import find_keeper
from .ids import new_id
from .kept import KeptStream
from .live import CannedStream, LiveStream, StreamSource
from .models import ModelEntry, list_models
from .patience import patience_of
from .relaying import RelayAnswer, open_relay
from .sessions import Session, no_canned_session, opening
from .settling import CLIENT_CLOSED_REQUEST, judge, make_record
from .snapshot import Snapshot
from .streaming import GatewayStream, open_stream

if TYPE_CHECKING:
    from .pipeline import Pipeline

__all__ = ["ExchangeFrame"]

T = TypeVar("T")

log = logging.getLogger("llmgate.exchange")


class ExchangeFrame(Attempts):
    """One exchange, made by ``Pipeline.exchange``; use it with ``async with`` and send one request through it.

    Args:
        pipeline: Whose exchange it is.
        operation: What is asked for.
        credentials: What the caller presented; None for a caller in process.
        principal: Who asks, where that is already known.
        surface: Which door it came through.
        client_address: The peer's address.
        client_request_id: The caller's own request id.
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
    ) -> None:
        super().__init__(pipeline.own)
        self._pipeline = pipeline
        self._credentials = credentials
        self._given = principal
        self.clock: Clock = pipeline.clock
        self._pin = pipeline.pin()
        self.snapshot: Snapshot = pipeline.snapshot
        self.secrets: SecretBroker = pipeline.secrets
        self.own_key = False
        """Whether the caller's own key at a provider counts whatever the route says of such keys."""
        self.caller_key: Secret | None = None
        """The caller's own key at a provider, in the place of the operator's."""
        self.chain: Chain = self.snapshot.unified.chain
        started_at = self.clock.now()
        self.exchange = Exchange(
            id=new_id(started_at),
            operation=operation,
            surface=surface,
            started_at=started_at,
            started=self.clock.monotonic(),
            client_request_id=client_request_id,
            client_address=client_address,
            client_headers=credentials.headers if credentials is not None else {},
        )
        if self.snapshot.tracing is not None:
            self.exchange.trace = self.snapshot.tracing.begin(self.exchange.client_headers)
        self.view = ExchangeView(self.exchange)
        self._deadline = self._last_word = self.exchange.started + self.snapshot.config.timeouts.total
        self._entered = [0]
        self._stream: GatewayStream | RelayAnswer | Session | None = None
        self._reads_on = False
        self._work: asyncio.Task[Any] | None = None
        self.encoder: StreamEncoder | None = None
        """What has written the stream so far, and can end it with an error; None before the first event."""
        self._sealed = False
        self._settled = False
        self._record: Record | None = None

    @property
    def record(self) -> Record:
        """The account of the exchange; complete once the frame has been left."""
        if self._record is None or not self._settled:
            self._record = make_record(self.exchange)
        return self._record

    async def __aenter__(self) -> Self:
        if not self._pipeline.ready:
            raise GatewayClosedError("the pipeline is not open: use it inside `async with pipeline`")
        try:
            self.exchange.principal = self._given or await authenticate(self.snapshot.auth, self._credentials)
        except BaseException as failure:
            await self._leave(failure)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(failure)

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
        self._begin(request)
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
                prepared = await self.chain.before_request(self.view, request, self._entered)
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
        self._begin(request)
        return await self._held(self._open_stream(request, decode=decode or asks_cost(self.exchange)))

    async def _open_stream(self, request: GatewayRequest, *, decode: bool) -> GatewayStream:
        async def run(tried: Try) -> LiveStream:
            live = await open_stream(tried, decode=decode or self.chain.reads_stream)
            self.note_content(tried.attempt)
            return live

        source: StreamSource
        try:
            with Alarm(self.remaining()):
                prepared = await self.chain.before_request(self.view, request, self._entered)
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
            prepared = await self.chain.before_request(self.view, request, self._entered)
            if isinstance(prepared, GatewayRequest):
                self.exchange.request = prepared
                candidates = relay_candidates(self.snapshot, provider_name, prepared.model, prepared.router)
                upstream = await dispatch(self, prepared, open_relay, candidates)
                self.note_content(self.exchange.attempts[-1])
            else:
                response = prepared
        answer = self._stream = RelayAnswer(self, upstream, response)
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

        self._begin(request)
        answered: Answered
        with self._timed():
            prepared = await self.chain.before_request(self.view, request, self._entered)
            if isinstance(prepared, GatewayRequest):
                request = self.exchange.request = prepared
                answered = await dispatch(self, prepared, run)
            else:
                answered = prepared
            if isinstance(answered, GatewayResponse):
                answered = await self.chain.after_response(self.view, answered, self._entered[0])
        if isinstance(answered, GatewayResponse):
            self.exchange.outcome, self.exchange.status = answered.outcome, answered.status
            await self.seal()
            return answered
        taken = self._stream = as_taken(self, answered, request)
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
            prepared = await self.chain.before_request(self.view, request, self._entered)
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

    def keeper(self, router: str | None, named: str | None, wire_format: str) -> Provider:
        """The provider that has kept an answer; see ``find_keeper``."""
        self.exchange.router = router
        return find_keeper(self.snapshot, router, named, wire_format)

    async def speaker(self, router: str | None, model: str, wire_format: str) -> Deployment:
        """Where a request about a model goes that cannot be translated; see ``find_speakers``."""
        self.exchange.router = router
        return (await self.secrets.usable(find_speakers(self.snapshot, router, model, wire_format)))[0]

    async def models(self, router: str | None = None) -> Sequence[ModelEntry]:
        """The models that the caller may ask for.

        Raises:
            ModelNotFoundError: there is no such router.
        """
        self.exchange.router = router
        entries = list_models(self.snapshot, self.secrets, self.view.principal, router)
        self.exchange.status = 200
        return entries

    def abandon(self) -> None:
        """Say that the caller has left, before its task is cancelled."""
        self.exchange.disconnected = True

    async def seal(self) -> None:
        """Settle everything that is known of the answer, before its last bytes go out. Idempotent."""
        if self._sealed:
            return
        self._sealed = True
        for attempt in self.exchange.attempts:
            if attempt.finished is None:
                await self.end_attempt(attempt, None)

    def remaining(self) -> float:
        """Seconds until the exchange must be over; while there is no content, until there must be some."""
        until = self._deadline if self.exchange.first_content is None else self._last_word
        return until - self.clock.monotonic()

    def sent(self, data: bytes) -> None:
        """Show interceptors that watch them the bytes of a stream that go down now."""
        self.chain.on_sent(self.view, data, self._entered[0])

    def chance(self) -> float:
        """A number in [0, 1)."""
        return self.clock.random()

    def failed(self, error: GatewayError) -> GatewayError:
        """Keep what the exchange failed with, and give it back to be raised."""
        self.exchange.error = error
        return error

    def _begin(self, request: GatewayRequest) -> None:
        if self.exchange.request is not None:
            raise RuntimeError("an exchange carries one request: open another exchange for the next one")
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
        if self.exchange.client_headers:
            self._heed(request)
        self.exchange.router = route.id if route is not None else request.router
        self.chain = route.chain if route is not None else self.snapshot.unified.chain
        self._reads_on = route.drains if route is not None else self.snapshot.unified.drains
        if self.own_key or (route is not None and route.caller_keys):
            bring_key(self, self._credentials)

    def _heed(self, request: GatewayRequest) -> None:
        """Be done before the caller gives up; a stream has given a sign of life by ``commit-after`` at the latest."""
        patience = patience_of(self.exchange.client_headers)
        if patience is None:
            return
        now = self.clock.monotonic()
        self._last_word = self._deadline = min(self._deadline, now + patience.whole)
        if not request.stream or patience.silence <= self.snapshot.config.stream.commit_after:
            self._deadline = min(self._deadline, now + patience.silence)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Work that must be done by the deadline, and whose error is the exchange's."""
        try:
            with Alarm(self.remaining()):
                yield
        except TimeoutError:
            raise self.failed(self._timed_out()) from None
        except GatewayError as error:
            raise self.failed(error) from None

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

    def _timed_out(self) -> GatewayTimeoutError:
        limit = self._deadline - self.exchange.started
        return GatewayTimeoutError(f"the request was not answered within {limit:g} s")

    async def _leave(self, failure: BaseException | None) -> None:
        if self._settled:
            return
        self._settled = True
        judge(self.exchange, failure, unfinished=self._stream is not None and not self._stream.finished)
        if self._is_to_be_read_on() and self._pipeline.drains.admit(self.snapshot.config.stream.max_drains):
            self._pipeline.own(self._settle_after_reading())  # in the background: nobody waits for this answer
        elif self._is_held_up() or not self.chain.settles_at_once:
            await asyncio.shield(self._pipeline.own(self._settle_slowly()))
        elif self.chain.settles:
            await self._settle_slowly()  # to its end at once: nobody can cancel what never waits
        else:
            self._settle()

    def _is_to_be_read_on(self) -> bool:
        """Whether the caller has left an answer behind that the route wants to be read to its end."""
        if not (self._reads_on and self.exchange.disconnected):
            return False
        stream = self._stream
        return self._work is not None or (stream is not None and not (stream.finished or stream.closed))

    async def _read_on(self) -> bool:
        if self._work is not None:
            await self._work
        if isinstance(self._stream, GatewayStream):
            return await self._stream.read_on(self.snapshot.config.stream.drain_bytes)
        return True

    async def _settle_after_reading(self) -> None:
        exchange = self.exchange
        exchange.drained = await self._pipeline.drains.run(self._read_on, self.snapshot.config.stream.drain_timeout)
        failure, exchange.error = exchange.error, None  # the attempt's, not the caller's, who got none of it
        exchange.status = CLIENT_CLOSED_REQUEST
        await self._settle_slowly(failure)

    def _is_held_up(self) -> bool:
        return self._work is not None or (self._stream is not None and not self._stream.closed) or self.under_way

    async def _settle_slowly(self, late_error: GatewayError | None = None) -> None:
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait({self._work})
        if self._stream is not None:
            await self._stream.aclose()
        error = late_error or self.exchange.error
        for attempt in self.exchange.attempts:
            if attempt.finished is None:
                attempt.abandoned = self.exchange.disconnected
                await self.end_attempt(attempt, error)
        for releasing in self._releases:
            await releasing
        for failure in await self.chain.on_settle(self.view, self._entered[0]):
            log.error("%s: an interceptor failed to settle", self.id, exc_info=failure)
        self._settle()

    def _settle(self) -> None:
        self.exchange.finished = self.clock.monotonic()
        if self._pin.queues:
            self._record = make_record(self.exchange)
            for queue in self._pin.queues:
                queue.offer(self._record)
        self._record = self._record if self._pin.queues else None
        self._stream = self._work = (
            None  # it knows the frame: a circle would keep the whole exchange in memory for a while
        )
        self._pin.release()
