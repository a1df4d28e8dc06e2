"""One HTTP request while it is served, and all of them together: what the front, the surfaces and the drain share."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
from starlette.types import Receive, Scope, Send

from llmgate.config.model import GatewayConfig, ServerConfig
from llmgate.formats import get_format
from llmgate.spec import (
    ClientCertificate,
    Exchange,
    Format,
    GatewayChunk,
    GatewayClosedError,
    GatewayError,
    Operation,
    OverloadedError,
    Principal,
)

from .admission import Admission
from .credentials import CERTIFICATE, gather
from .dialects import dialect_of
from .errors import INTERNAL_ERROR, ClientLeftError, error_body, error_headers
from .guard import Guard
from .headers import JSON_HEADERS, Headers, cost_headers, header_pairs, header_value, valid_request_id
from .mailbox import Mailbox
from .reading import read_body
from .refusals import Refusals, RefusedRequest
from .rewriting import RewrittenFormat
from .sending import Reply
from .upgrades import Upgrade, close_of
from .uploads import ClientUpload

if TYPE_CHECKING:
    from llmgate.pipeline import ExchangeFrame, Pipeline

__all__ = ["PRINCIPAL_KEY", "Call", "Desk", "Stop"]

log = logging.getLogger("llmgate.host")

PRINCIPAL_KEY: Final = "llmgate.principal"
"""Where code in this process that calls the application says in the ASGI scope who asks; no client can put it there."""

CLIENT_LEFT: Final = 499
"""What the access log shows for a client that left before it was answered; no client ever sees it."""


SETTLE_SECONDS: Final = 2.0
"""How long requests that a shutdown has cut may take to say so to their clients."""


class Stop(enum.Enum):
    """Why the work for a request was stopped from outside."""

    LEFT = "client left"
    STUCK = "client stopped reading"
    SHUTDOWN = "shutdown"


class Desk:
    """All requests being served, and what they are served with.

    Args:
        pipeline: Does the work.
        settings: The host's settings.
        guard: Admits requests.
    """

    def __init__(self, pipeline: Pipeline, settings: ServerConfig, guard: Guard) -> None:
        self.pipeline = pipeline
        self.settings = settings
        self.guard = guard
        self.calls: set[Call] = set()
        self.admission = Admission(settings, self.calls)
        self.refusals = Refusals(pipeline, settings.refusal_records)
        self.draining = False
        self._all_left: asyncio.Event | None = None

    @property
    def config(self) -> GatewayConfig:
        """The pipeline's configuration."""
        config: GatewayConfig = self.pipeline.config
        return config

    @property
    def ready(self) -> bool:
        """Whether a load balancer should send requests here."""
        return self.pipeline.ready and not self.draining

    @property
    def has_no_openai(self) -> bool:
        """Whether no provider is called ``openai``, so that its direct relay is nobody's."""
        return "openai" not in self.pipeline.snapshot.providers

    def enter(self, call: Call) -> None:
        """A request begins."""
        self.calls.add(call)
        admission = self.admission
        if admission.tight or len(self.calls) >= admission.most:
            admission.entered()

    async def wait_turn(self, call: Call) -> None:
        """Wait until one of the requests that are served has ended.

        Raises:
            OverloadedError: too many wait already, or none has ended in time.
        """
        try:
            await self.admission.turn()
        except OverloadedError:
            call.discard_body()  # a new connection for each refused request would cost more than to serve it
            raise

    def leave(self, call: Call) -> None:
        """A request is over."""
        self.calls.discard(call)
        if self.admission.tight:
            self.admission.left()
        if self._all_left is not None and not self.calls:
            self._all_left.set()

    async def quiet(self, timeout: float) -> None:
        """Wait until no request runs, or so many seconds have passed."""
        await self._ended(timeout)

    async def drain(self, timeout: float) -> int:
        """Let running requests end; cut those that have not after ``timeout`` seconds.

        Returns:
            How many had to be cut.
        """
        self.draining = True
        end = asyncio.get_running_loop().time() + timeout
        await self._ended(timeout)
        cut = [call for call in self.calls if call.stop(Stop.SHUTDOWN)]
        if cut:
            await self._ended(SETTLE_SECONDS)
        await self.pipeline.drains.finish(end - asyncio.get_running_loop().time())
        await self.pipeline.repeats.finish(end - asyncio.get_running_loop().time())
        self.refusals.tell_the_rest()
        return len(cut)

    async def _ended(self, timeout: float) -> None:
        self._all_left = asyncio.Event()
        if self.calls:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_left.wait(), timeout)


class Call:
    """One request.

    It is a context manager around the work that may be stopped from outside, by the client's leaving, by a client that
    does not read, or by a shutdown: inside, the task is cancelled; outside, it never is.

    Args:
        desk: Where it is served.
        scope: The ASGI scope.
        receive: The ASGI server's.
        send: The ASGI server's.
        upgrade: The client's end of a WebSocket, where it asks for one.
    """

    __slots__ = (
        "_certificate",
        "_exchange_id",
        "_frame",
        "_from_google",
        "_made_id",
        "_main",
        "_principal",
        "_receive",
        "_started",
        "_task",
        "_upload",
        "_watcher",
        "aim",
        "body_pending",
        "client_address",
        "desk",
        "error_code",
        "headers",
        "method",
        "opaque",
        "params",
        "path",
        "query",
        "raw_path",
        "reply",
        "root",
        "secure",
        "stopped",
        "upgrade",
        "wire_format",
    )

    def __init__(self, desk: Desk, scope: Scope, receive: Receive, send: Send, upgrade: Upgrade | None = None) -> None:
        self.upgrade = upgrade
        self._receive = receive
        self.desk = desk
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path = _raw_path(scope)
        """The path as it was sent, escapes and all, below the place where the application is mounted."""
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.root: str = scope.get("root_path", "")
        self.secure: bool = scope.get("scheme") in ("https", "wss")
        client = scope.get("client")
        self.client_address: str = client[0] if client else ""
        self.headers: Mapping[str, str] = {}
        self.params: Mapping[str, Any] = {}
        self.reply = Reply(send, patience=desk.settings.send_timeout, overrun=self._overrun)
        self._principal: Principal | None = scope.get(PRINCIPAL_KEY)
        self._certificate: ClientCertificate | None = scope.get(CERTIFICATE)
        self.wire_format: Format = get_format("openai-chat")
        self.opaque = False
        """Whether the answer is in no wire format known here, so that nothing can be said inside it."""
        self.aim: Callable[[ExchangeFrame], None] | None = None
        """What leads its exchange to another place than the configuration would; None for nothing."""
        self.body_pending = False
        self.error_code: str | None = None
        self.stopped: Stop | None = None
        self._started = asyncio.get_running_loop().time()
        self._from_google = False
        self._exchange_id: str | None = None
        self._made_id: str | None = None
        self._frame: ExchangeFrame | None = None
        self._main = asyncio.current_task()
        self._task: asyncio.Task[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._upload: ClientUpload | None = None

    def take_headers(self, headers: Mapping[str, str]) -> None:
        """Keep the request's headers once they are found harmless."""
        self.headers = headers
        dialect = dialect_of(self.path, headers)
        self.wire_format, self._from_google = get_format(dialect), dialect == "gemini-generate-content"
        self.body_pending = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    @property
    def client_request_id(self) -> str | None:
        """The client's own request id, None when it sent none that can be echoed."""
        return valid_request_id(self.headers.get("x-request-id"))

    @property
    def request_id(self) -> str:
        """What the answer calls the request: the client's id, else the exchange's, else one made for it."""
        given = self.client_request_id or self._exchange_id or self._made_id
        if given is None:
            given = self._made_id = str(uuid.uuid4())
        return given

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return asyncio.get_running_loop().time() - self._started

    @property
    def logged_status(self) -> int:
        """The status for the access log."""
        if self.reply.status is None:
            return CLIENT_LEFT
        return self.reply.status

    def exchange(self, operation: Operation, surface: str, key: str | None = None) -> ExchangeFrame:
        """The frame of this request's exchange; entering it authenticates the caller, by ``key`` where there is one."""
        query = self.query if self._from_google else ""
        presented = gather(self.headers, self.client_address, query=query, certificate=self._certificate)
        if key is not None:
            presented = attrs.evolve(presented, tokens={"authorization": key}, provider_key="")
        frame = self.desk.pipeline.exchange(
            operation=operation,
            credentials=presented,
            principal=self._principal,
            surface=surface,
            client_address=self.client_address,
            client_request_id=self.client_request_id,
        )
        if self.aim is not None:
            self.aim(frame)
        self._frame = frame
        self._exchange_id = frame.id
        return frame

    def rename(self, record_id: str) -> None:
        """Call the exchange what its record is called."""
        self._exchange_id = record_id

    async def read(self, most: int | None = None) -> bytes:
        """The whole request body, within the limits, or ``most`` bytes."""
        settings = self.desk.settings
        limits = settings if most is None else attrs.evolve(settings, max_body_bytes=min(most, settings.max_body_bytes))
        body = await read_body(self._receive, self.headers, limits)
        self.body_pending = False
        return body

    def discard_body(self) -> None:
        """Throw away what has come of the body; where that is all of it, the connection can carry another request."""
        mailbox = Mailbox.behind(self._receive)
        while mailbox is not None and self.body_pending:
            message = mailbox.take()
            if message is None or message["type"] != "http.request":
                return
            self.body_pending = bool(message.get("more_body"))

    def upload(self) -> ClientUpload:
        """The request body as it comes; whether the client leaves is noticed from now on.

        Raises:
            RequestTooLargeError: it says that it will be larger than the limit.
        """
        upload = self._upload = ClientUpload(
            self._receive, self.headers, self.desk.settings, ended=self._uploaded, left=self._left
        )
        mailbox = Mailbox.behind(self._receive)
        if mailbox is not None:
            mailbox.on_departure(self._left)
        return upload

    def _uploaded(self) -> None:
        self.body_pending = False
        if Mailbox.behind(self._receive) is None:
            self.watch()  # until now whoever took the body would have seen a departure

    def watch(self) -> None:
        """Notice from now on when the client leaves."""
        mailbox = Mailbox.behind(self._receive)
        if mailbox is not None:
            mailbox.on_departure(self._left)
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._await_disconnect())

    def stop(self, reason: Stop) -> bool:
        """Stop the work; nothing happens when it is over or its last bytes are going out.

        Returns:
            Whether it was stopped now.
        """
        if self._task is None or self.stopped is not None:
            return False
        if self.reply.finishing and reason is not Stop.STUCK:
            return False
        self.stopped = reason
        if self._frame is not None and reason is not Stop.SHUTDOWN:
            self._frame.abandon()
        self._task.cancel()
        return True

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._watcher is not None:
            self._watcher.cancel()
        if self._upload is not None:
            self._upload.close()
        if isinstance(failure, ClientLeftError):
            self.stopped = Stop.LEFT
            if self._frame is not None:
                self._frame.abandon()
            raise asyncio.CancelledError from None
        if self.stopped is Stop.SHUTDOWN and isinstance(failure, asyncio.CancelledError):
            assert task is not None, "the work ran in a task"
            task.uncancel()
            raise GatewayClosedError("the gateway is shutting down: send the request again") from None

    def answer_headers(self, own: Headers = JSON_HEADERS) -> Headers:
        """The headers that every answer has, ``own`` first."""
        headers = [*own, (b"x-request-id", self.request_id.encode("ascii"))]
        if self.wire_format.request_id_header != "x-request-id":
            headers.append((self.wire_format.request_id_header.encode("ascii"), self.request_id.encode("ascii")))
        if self._exchange_id is not None:
            headers.append((b"helicone-id", self._exchange_id.encode("ascii")))
        return headers

    def parting(self) -> Headers:
        """The header for an answer that comes before all of the request has: the rest of it will not be read."""
        return [(b"connection", b"close")] if self.body_pending else []

    def noted(self, exchange: Exchange) -> Headers:
        """What stages tell the caller; a provider's own word under the same name is left out of the answer."""
        headers = header_pairs(exchange.noted_headers())
        self.reply.said = frozenset(dict(headers))
        return headers

    def provenance(self, exchange: Exchange) -> Headers:
        """Who served an exchange, as far as the configuration lets the caller know, and what stages tell of it."""
        headers = self.noted(exchange)
        config = self.desk.config
        if config.cost_header and config.prices.enabled:
            headers += cost_headers(exchange)
        if not exchange.attempts:
            return headers
        last = exchange.attempts[-1]
        if config.provider_header:
            headers.append((b"helicone-provider", header_value(last.deployment.provider_name)))
        if config.provider_request_id_header and last.provider_request_id:
            headers.append((b"helicone-provider-req-id", header_value(last.provider_request_id)))
        if last.error is None:
            headers.append((b"llmgate-model", header_value(last.deployment.model)))
        if last.dropped_params:
            headers.append((b"llmgate-dropped-params", header_value(", ".join(last.dropped_params))))
        if len(exchange.attempts) > 1:
            headers.append((b"llmgate-attempts", b"%d" % len(exchange.attempts)))
        return headers

    def note_refusal(self, error: GatewayError) -> None:
        """Note that the request is refused, where no exchange does that."""
        if self._frame is None:
            refused = RefusedRequest(
                error, self.method, self.path, self.client_address, self.headers, self.client_request_id, self.age
            )
            self._exchange_id = self.desk.refusals.note(refused)

    async def fail(self, error: GatewayError) -> None:
        """Answer with an error: as a status while nothing has been sent, as the format's own event in a stream."""
        self.error_code = error.code
        error.request_id = self.request_id
        if self.upgrade is not None and self.upgrade.accepted:
            await self.upgrade.close(close_of(error))
            return
        reply = self.reply
        if reply.finishing:
            return
        await reply.quiet()
        if reply.streaming and self.opaque:
            return  # Left without its end: the server cuts the connection, so no client takes it for a whole answer.
        if reply.streaming:
            # The stream ends here without its terminal marker, so no client takes it for a whole answer.
            await reply.end(self._last_event(error))
            return
        headers = self.answer_headers()
        if self._frame is not None:
            headers += self.provenance(self._frame.exchange)
        headers += error_headers(error)
        given = {name for name, _ in headers}
        own = self.wire_format.error_headers(error)
        headers += [(name.encode(), header_value(text)) for name, text in own.items() if name.encode() not in given]
        if self.body_pending and (b"connection", b"close") not in headers:
            headers.append((b"connection", b"close"))
        await reply.whole(self.wire_format.error_status(error), headers, error_body(error, self.wire_format))

    def _last_event(self, error: GatewayError) -> bytes:
        """The error as the event that ends a stream, written by what has written the stream so far."""
        encoder = self._frame.encoder if self._frame is not None else None
        if isinstance(self.wire_format, RewrittenFormat):
            encoder = None  # whatever has written the events, the client hears another format
        if encoder is None:  # nothing but signs of life has been sent
            encoder = self.wire_format.stream_encoder()
            encoder.encode(GatewayChunk(id=self._exchange_id, created=int(time.time())))
        return encoder.error(error)

    async def crash(self, failure: Exception) -> None:
        """Answer for an error that nobody expected; the caller learns the request's id and nothing else."""
        log.error("request %s failed unexpectedly", self.request_id, exc_info=failure)
        await self.fail(GatewayError(f"{INTERNAL_ERROR} ({self.request_id})"))

    async def _await_disconnect(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._left()
                return

    def _left(self) -> None:
        self.stop(Stop.LEFT)

    def _overrun(self) -> None:
        """A send takes too long, inside the work or after it, when an error or a list is on its way."""
        if not self.stop(Stop.STUCK) and self.stopped is None and self._main is not None:
            self.stopped = Stop.STUCK
            self._main.cancel()


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    root: bytes = scope.get("root_path", "").encode()
    path = raw[len(root) :] if root and raw.startswith(root) else raw
    return path.decode("latin-1")
