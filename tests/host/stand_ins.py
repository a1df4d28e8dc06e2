"""A pipeline that does what a test tells it, and a server around it on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

import attrs

import servers
from llmgate.catalogue import provider_row, resolve_base_url
from llmgate.config.model import GatewayConfig, ServerConfig, StageConfig, StreamConfig
from llmgate.host.app import create_app
from llmgate.host.server import bind, serve
from llmgate.pipeline.draining import Drains
from llmgate.spec import (
    Attempt,
    AuthenticationError,
    Credentials,
    Deployment,
    Exchange,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Operation,
    Outcome,
    Principal,
    Provider,
    ProviderRow,
)

CHAT = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}).encode()
STREAM = json.dumps({"model": "echo", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
ANSWER = b'{"id":"a","object":"chat.completion","model":"echo-1","choices":[]}'


@attrs.frozen
class Entry:
    id: str
    owned_by: str
    created: int = 0
    listed: None = None
    mapping: None = None


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


class Stream:
    """A stream whose pieces the test makes."""

    def __init__(self, pieces: AsyncIterator[bytes], headers: Mapping[str, str] | None = None) -> None:
        self.headers = dict(headers or {})
        self.media_type = "text/event-stream"
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        pass


class RelayAnswer:
    """What a provider sends back to the direct relay."""

    def __init__(self, status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = dict(headers)
        self._pieces = pieces
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        self.closed = True


class Frame:
    def __init__(self, pipeline: StandInPipeline, exchange: Exchange, credentials: Credentials) -> None:
        self.pipeline = pipeline
        self.exchange = exchange
        self.id = exchange.id
        self.credentials = credentials
        self.request: GatewayRequest | None = None
        self.relayed_to: str | None = None
        self.abandoned = False
        self.encoder = None
        self.left = 0
        self.failure: BaseException | None = None
        self.settled = asyncio.Event()

    async def __aenter__(self) -> Self:
        keys = self.pipeline.keys
        if keys and not keys & set(self.credentials.tokens.values()):
            missing = not self.credentials.tokens
            await self._leave(AuthenticationError("Missing authorization header" if missing else "Invalid credentials"))
            assert self.failure is not None
            raise self.failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(failure)

    async def _leave(self, failure: BaseException | None) -> None:
        self.failure = failure
        self.left += 1
        await asyncio.sleep(0)
        self.settled.set()

    def served_by(self, provider: str, model: str, *, request_id: str | None = None) -> None:
        row = ProviderRow(name=provider, title=provider, base_url=None)
        deployment = Deployment(f"{provider}/{model}", Provider(provider, row, "http://127.0.0.1"), model)
        attempt = Attempt(len(self.exchange.attempts), deployment, 0.0, provider_request_id=request_id)
        self.exchange.attempts.append(attempt)

    async def send(
        self, request: GatewayRequest, *, otherwise: Callable[[GatewayRequest], GatewayResponse] | None = None
    ) -> GatewayResponse:
        self.request = request
        if otherwise is not None and self.pipeline.counts_nothing:
            return otherwise(request)
        return await self.pipeline.answer(self, request)

    async def stream(self, request: GatewayRequest) -> Stream:
        self.request = request
        return await self.pipeline.stream(self, request)

    async def relay(self, provider_name: str, request: GatewayRequest) -> RelayAnswer:
        if request.upload is not None:
            request = attrs.evolve(request, body=b"".join([piece async for piece in request.upload.pieces()]))
        self.request = request
        self.relayed_to = provider_name
        return await self.pipeline.relay(self, request)

    def keeper(self, router: str | None, named: str | None, wire_format: str) -> Provider:
        return self._provider(named or "openai", wire_format)

    async def speaker(self, router: str | None, model: str, wire_format: str) -> Deployment:
        return Deployment(f"openai/{model}", self._provider("openai", wire_format), model.rpartition("/")[2])

    @staticmethod
    def _provider(name: str, wire_format: str) -> Provider:
        row = ProviderRow(name=name, title=name, base_url=None, formats={wire_format: "/responses"})
        return Provider(name, row, "http://127.0.0.1/v1")

    async def models(self, router: str | None = None) -> Sequence[Entry]:
        return [Entry("echo", "echo"), Entry("openai/gpt-4o", "openai")]

    def abandon(self) -> None:
        self.abandoned = True

    async def seal(self) -> None:
        pass


async def plain_answer(frame: Frame, request: GatewayRequest) -> GatewayResponse:
    frame.served_by("echo", "echo-1", request_id="up-1")
    return GatewayResponse(request.format, ANSWER, Outcome())


async def plain_stream(frame: Frame, request: GatewayRequest) -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for word in ("one", "two", "three"):
            yield event(word)
            await asyncio.sleep(0)
        yield DONE

    frame.served_by("echo", "echo-1")
    return Stream(pieces())


async def plain_relay(frame: Frame, request: GatewayRequest) -> RelayAnswer:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"relayed":'
        await asyncio.sleep(0)
        yield b"true}"

    frame.served_by("openai", request.model)
    return RelayAnswer(200, {"content-type": "application/json"}, pieces())


def provider(name: str, base_url: str | None = None, *, passthrough: bool = False) -> Provider:
    """A provider as the catalogue knows it."""
    row = provider_row(name)
    assert row is not None
    return Provider(name, row, resolve_base_url(row, base_url), passthrough=passthrough)


Answer = Callable[[Frame, GatewayRequest], Awaitable[GatewayResponse]]
Streamer = Callable[[Frame, GatewayRequest], Awaitable[Stream]]
Relayer = Callable[[Frame, GatewayRequest], Awaitable[RelayAnswer]]


@attrs.frozen
class Snapshot:
    providers: Mapping[str, Provider]
    pages: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class RefusedFrame:
    """The frame of a request that nobody lets in."""

    pipeline: StandInPipeline
    id: str
    address: str

    async def refuse(
        self, error: GatewayError, told: Mapping[str, str], *, age: float, headers: Mapping[str, str]
    ) -> None:
        assert age >= 0
        self.pipeline.refused.append((self.address, error, told))


class StandInPipeline:
    """Has the methods of a Pipeline that the host uses."""

    def __init__(
        self,
        answer: Answer = plain_answer,
        stream: Streamer = plain_stream,
        relay: Relayer = plain_relay,
        *,
        providers: Sequence[Provider] = (),
        keys: Sequence[str] = (),
        server: ServerConfig | None = None,
        stream_config: StreamConfig | None = None,
        **config: Any,
    ) -> None:
        auth = [StageConfig("auth[0]", "static-keys", None)] if keys else []
        self.config = GatewayConfig(
            auth=auth, server=server or ServerConfig(), stream=stream_config or StreamConfig(), **config
        )
        self.keys = set(keys)
        self.answer = answer
        self.stream = stream
        self.relay = relay
        self.snapshot = Snapshot({one.name: one for one in providers})
        self.frames: list[Frame] = []
        self.ready = False
        self.drains = Drains()
        self.repeats = Drains()
        self.refused: list[tuple[str, GatewayError, Mapping[str, str]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.problems: list[str] = []
        self.counts_nothing = False

    async def __aenter__(self) -> Self:
        self.ready = True
        return self

    async def __aexit__(self, *failure: object) -> None:
        self.ready = False

    def own(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def validate_router(self, router: Mapping[str, Any]) -> Sequence[str]:
        return self.problems

    def exchange(
        self,
        *,
        operation: Operation,
        credentials: Credentials | None = None,
        principal: Principal | None = None,
        surface: str,
        client_address: str,
        client_request_id: str | None,
    ) -> Frame | RefusedFrame:
        assert principal is None, "no client names itself"
        if surface == "host":
            return RefusedFrame(self, f"0197-refused-{len(self.refused)}", client_address)
        assert credentials is not None, "the host always says what was presented"
        exchange = Exchange(
            id=f"0197-exchange-{len(self.frames)}",
            operation=operation,
            surface=surface,
            started_at=0.0,
            started=0.0,
            client_address=client_address,
            client_request_id=client_request_id,
        )
        frame = Frame(self, exchange, credentials)
        self.frames.append(frame)
        return frame


@attrs.define
class Served:
    """A running server."""

    port: int
    pipeline: StandInPipeline
    stop: asyncio.Event
    task: asyncio.Task[None]
    app: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def raw(self, data: bytes, *, timeout: float = 5.0) -> bytes:
        """Send bytes on a new connection and return all that comes until it closes."""
        async with self.connection() as (reader, writer):
            writer.write(data)
            return await asyncio.wait_for(reader.read(-1), timeout)

    @asynccontextmanager
    async def connection(self, **options: Any) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection that is gone for good when the block is left."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **options)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, path: str, body: bytes | None = None, *, method: str | None = None, **headers: str) -> Reply:
        """One request on a connection of its own; header names are written with underscores for dashes."""
        sent = {"Host": "127.0.0.1", "Connection": "close"}
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        verb = method or ("GET" if body is None else "POST")
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value != "none")
        return Reply.of(await self.raw(f"{verb} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")))


@attrs.frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Reply:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            assert name.lower() not in headers or name.lower() == "connection", f"{name} comes twice"
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = unchunk(body)
        return cls(int(first.split()[1]), headers, body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]


def unchunk(data: bytes) -> bytes:
    """The content of a chunked body; fails unless it is whole."""
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert data == b"\r\n", data
            return out
        out += data[:length]
        data = data[length + 2 :]


@asynccontextmanager
async def serving(pipeline: StandInPipeline, **options: Any) -> AsyncIterator[Served]:
    """Serve a pipeline on loopback for the length of a test."""
    options["server"] = servers.chosen(options.get("server") or pipeline.config.server)
    app = create_app(pipeline, **options)  # type: ignore[arg-type]
    sockets = bind("127.0.0.1", 0)
    stop = asyncio.Event()
    task = asyncio.create_task(serve(app, sockets, stop=stop))
    try:
        for _ in range(200):
            if pipeline.ready or task.done():
                break
            await asyncio.sleep(0.005)
        yield Served(sockets[0].getsockname()[1], pipeline, stop, task, app)
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)
        for bound in sockets:
            bound.close()


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until something holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)
