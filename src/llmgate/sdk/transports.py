"""The transports of httpx2 that end in a pipeline instead of a socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

import httpx2

from llmgate.pipeline import Pipeline
from llmgate.pipeline.blocking import BlockingPipeline
from llmgate.spec import Principal

from .conversation import BrokenOffError, Conversation, Message
from .door import Door, PipelineClosedError

__all__ = ["AsyncPipelineTransport", "BlockingPipelineTransport"]

HOST: Final = b"localhost"
"""What the host is told: the name in the address says nothing here, and a caller in process is on loopback."""


class AsyncPipelineTransport(httpx2.AsyncBaseTransport):
    """Sends requests into a pipeline, for ``httpx2.AsyncClient``.

    Args:
        pipeline: An open pipeline of this event loop, or a ``BlockingPipeline``, which serves any loop.
        principal: Who asks, whatever key is sent; None for what the key says, or a trusted local caller without one.
    """

    def __init__(self, pipeline: Pipeline | BlockingPipeline, *, principal: Principal | None = None) -> None:
        self._door = Door(pipeline, principal)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; returns once the head of its answer has come.

        Raises:
            httpx2.ReadTimeout: the client's own timeout is over.
            httpx2.TransportError: the pipeline is closed, or ended without an answer.
        """
        door, waits = self._door, _read_timeout(request)
        body = bytearray()
        assert isinstance(request.stream, httpx2.AsyncByteStream), "an async client sends async streams"
        async for piece in request.stream:
            body += piece
            if len(body) > door.most_bytes:
                break  # the host refuses it
        with _translating(request):
            conversation = await door.run(door.ask(_scope(request), bytes(body), waits))
        return _response(conversation, _AsyncBody(door, conversation, request, waits))

    async def aclose(self) -> None:
        """End every answer that is still under way; the pipeline stays open. Idempotent."""
        with contextlib.suppress(PipelineClosedError):  # and with it all of them are over
            await self._door.run(self._door.leave())


class BlockingPipelineTransport(httpx2.BaseTransport):
    """Sends requests into a pipeline, for ``httpx2.Client``; may be used from several threads at once.

    Args:
        pipeline: An open ``BlockingPipeline``; or an open pipeline of the event loop on which this is made, to be used
            from other threads.
        principal: Who asks, whatever key is sent; None for what the key says, or a trusted local caller without one.
    """

    def __init__(self, pipeline: Pipeline | BlockingPipeline, *, principal: Principal | None = None) -> None:
        self._door = Door(pipeline, principal)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; returns once the head of its answer has come.

        Raises:
            httpx2.ReadTimeout: the client's own timeout is over.
            httpx2.TransportError: the pipeline is closed, or ended without an answer.
        """
        door, waits = self._door, _read_timeout(request)
        body = bytearray()
        assert isinstance(request.stream, httpx2.SyncByteStream), "a blocking client sends blocking streams"
        for piece in request.stream:
            body += piece
            if len(body) > door.most_bytes:
                break  # the host refuses it
        with _translating(request):
            conversation = door.run_blocking(door.ask(_scope(request), bytes(body), waits))
        return _response(conversation, _BlockingBody(door, conversation, request, waits))

    def close(self) -> None:
        """End every answer that is still under way; the pipeline stays open. Idempotent."""
        with contextlib.suppress(PipelineClosedError):  # and with it all of them are over
            self._door.leave_blocking()


class _AsyncBody(httpx2.AsyncByteStream):
    """The body of an answer, read as it comes."""

    def __init__(self, door: Door, conversation: Conversation, request: httpx2.Request, waits: float | None) -> None:
        self._door = door
        self._conversation = conversation
        self._request = request
        self._waits = waits

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        with _translating(self._request):
            data = await self._door.run(self._conversation.read(self._waits))
        if not data:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        with contextlib.suppress(PipelineClosedError):  # and with it this answer is over
            await self._door.run(self._door.leave(self._conversation))


class _BlockingBody(httpx2.SyncByteStream):
    """The body of an answer, read as it comes."""

    def __init__(self, door: Door, conversation: Conversation, request: httpx2.Request, waits: float | None) -> None:
        self._door = door
        self._conversation = conversation
        self._request = request
        self._waits = waits

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with _translating(self._request):
            data = self._door.run_blocking(self._conversation.read(self._waits))
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        with contextlib.suppress(PipelineClosedError):  # and with it this answer is over
            self._door.leave_blocking(self._conversation)


def _response(conversation: Conversation, body: _AsyncBody | _BlockingBody) -> httpx2.Response:
    head = conversation.head
    return httpx2.Response(
        head.status, headers=list(head.headers), stream=body, extensions={"http_version": b"HTTP/1.1"}
    )


def _scope(request: httpx2.Request) -> Message:
    """The ASGI scope of a request (ASGI specification, "HTTP connection scope")."""
    path, _, query = request.url.raw_path.partition(b"?")
    headers = [(name.lower(), value) for name, value in request.headers.raw if name.lower() != b"host"]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", HOST), *headers],
        "client": None,
        "server": None,
    }


def _read_timeout(request: httpx2.Request) -> float | None:
    """How long the client waits for the next bytes; connecting, writing and waiting for a connection take no time."""
    timeout = request.extensions.get("timeout", {}).get("read")
    return None if timeout is None else float(timeout)


@contextlib.contextmanager
def _translating(request: httpx2.Request) -> Iterator[None]:
    """Raise what a client library expects of a transport."""
    try:
        yield
    except TimeoutError as failure:
        raise httpx2.ReadTimeout("the gateway did not answer within the client's timeout", request=request) from failure
    except BrokenOffError as failure:
        raise httpx2.RemoteProtocolError(str(failure), request=request) from failure
    except PipelineClosedError as failure:
        raise httpx2.ConnectError(str(failure), request=request) from failure
