"""The body of an answer, in the pieces in which it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Self

from aiohttp import ClientResponse

from llmgate.spec import ProviderConnectionError, ProviderError, ProviderRequest

from .decoding import DecodingError, Inflater
from .failures import broken_answer, reading_failure

__all__ = ["AiohttpStream"]


class AiohttpStream:
    """An answer whose body is still coming; implements ``spec.ProviderStream``.

    Iterating is resumable: a wait for the next piece that is cancelled (a heartbeat's, say) loses nothing and closes
    nothing. Whoever has the stream closes it, with ``aclose``, which never waits and so works while being cancelled.

    Args:
        response: The answer, its head received.
        request: What it answers.
        headers: Its headers, lower case.
        inflater: What undoes its compression, None for none.
        unreadable: Whether its body is thrown away: it is an error whose status says enough, in an encoding not read.
        done: Called once when the connection is no longer needed.
    """

    __slots__ = (
        "_content",
        "_done",
        "_failure",
        "_inflated",
        "_inflater",
        "_open",
        "_request",
        "_response",
        "_unreadable",
        "headers",
        "status",
    )

    def __init__(
        self,
        response: ClientResponse,
        request: ProviderRequest,
        headers: Mapping[str, str],
        *,
        inflater: Inflater | None,
        unreadable: bool,
        done: Callable[[], None],
    ) -> None:
        self.status = response.status
        self.headers = headers
        self._response = response
        self._content = response.content
        self._request = request
        self._inflater = inflater
        self._inflated: Iterator[bytes] | None = None
        self._unreadable = unreadable
        self._done = done
        self._open = True
        self._failure: Exception | None = None

    def __del__(self) -> None:
        if self._open:  # dropped without being closed: the provider must not go on for nobody
            self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._unreadable:
            self._close()
            raise StopAsyncIteration
        if self._inflater is None:
            piece = await self._next_received()
        else:
            piece = await self._next_inflated(self._inflater)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def read(self) -> bytes:
        """All that is left of the body, within the request's bound."""
        bound = self._request.max_body_bytes
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) > bound:
            raise self._broken(_too_long(bound), retryable=False)
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in self:
                size += len(piece)
                if size > bound:
                    raise self._broken(_too_long(bound), retryable=False)
                pieces.append(piece)
        except BaseException:
            self._close()
            raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def aclose(self) -> None:
        """Close it; a body not read to its end closes the connection. Idempotent."""
        self._close()

    async def _next_received(self) -> bytes:
        """The next bytes off the wire, ``b""`` at the end of the body."""
        if self._open:
            try:
                data = await self._content.readany()
                if not data:
                    self._end()
            except Exception as exc:  # noqa: BLE001 - whatever it is, the stream has broken
                data = self._broken_off(exc)
            if data:
                return data
        return self._after_the_end()

    async def _next_inflated(self, inflater: Inflater) -> bytes:
        """The next bytes of the body, ``b""`` at its end."""
        while True:
            try:
                if self._inflated is not None:
                    for piece in self._inflated:
                        return piece
                    self._inflated = None
                data = await self._next_received()
                if not data:
                    inflater.finish()
                    return b""
                self._inflated = inflater.feed(data)
            except DecodingError as exc:
                what = str(exc)
                break
        raise self._broken(what)

    def _broken_off(self, exc: Exception) -> bytes:
        """Close the connection, and what had come before it broke: it may hold the usage, or even the stream's end."""
        if not self._open:
            return b""  # closed by ``aclose``, in another task
        upload = self._request.upload
        self._failure = (upload and upload.failure) or reading_failure(exc, self._request)
        rest = self._content._read_nowait(-1)  # noqa: SLF001 - the public way raises what is known already
        self._close()
        return rest

    def _broken(self, what: str, *, retryable: bool = True) -> ProviderError:
        """Close the connection, and the error to raise now and at every later call."""
        failure = self._failure = broken_answer(self._request, what, retryable=retryable)
        self._close()
        return failure

    def _end(self) -> None:
        """Note the end of the body; the connection has gone back to its pool, unless it cannot be used again."""
        self._open = False
        if self._response.connection is not None:
            self._response.close()
        self._done()

    def _after_the_end(self) -> bytes:
        """What a reader gets from a stream that is no longer open."""
        if self._failure is not None:
            raise self._failure
        if self._content.at_eof():
            return b""
        raise ProviderConnectionError(
            f"the answer of provider {self._request.provider_name} was closed before its end",
            provider_name=self._request.provider_name,
            code="provider_connection_lost",
        )

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._response.close()
            self._done()


def _too_long(bound: int) -> str:
    return f"sent an answer longer than {bound} bytes"
