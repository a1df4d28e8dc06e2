"""Request bodies: how large, how slow and how compressed they may be."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Receive

from llmgate.config.model import ServerConfig
from llmgate.spec import InvalidRequestError, RequestTooLargeError

from .errors import ClientLeftError, RefusedError
from .mailbox import Mailbox

__all__ = ["declares_json", "decompress", "is_encoded", "media_type", "read_body", "require_json", "too_slow"]

MAX_RATIO: Final = 100
"""How many bytes one compressed byte may become …"""
FREE_BYTES: Final = 1024 * 1024
"""… once this many bytes have come out."""
PIECE: Final = 256 * 1024
"""How much is decompressed between two looks at the clock and at other requests."""

ENCODINGS: Final[Mapping[str, int]] = {
    "gzip": 16 + zlib.MAX_WBITS,
    "x-gzip": 16 + zlib.MAX_WBITS,
    "deflate": zlib.MAX_WBITS,
}
"""Content encodings that are understood, and zlib's name for each (RFC 9110, section 8.4.1)."""


def require_json(headers: Mapping[str, str]) -> None:
    """Refuse a body that is not declared to be JSON: a browser can send any other type across sites unasked.

    Raises:
        RefusedError: 415, naming the header to send.
    """
    if declares_json(headers):
        return
    declared = media_type(headers)
    said = f"the content type is {declared[:80]!r}" if declared else "the request has no content type"
    raise RefusedError(
        415,
        f"{said}, but this address takes JSON: send the header `Content-Type: application/json` "
        "(with curl: -H 'Content-Type: application/json')",
        code="unsupported_media_type",
    )


def declares_json(headers: Mapping[str, str]) -> bool:
    """Whether a body is declared to be JSON."""
    if headers.get("content-type") == "application/json":
        return True
    declared = media_type(headers)
    return declared == "application/json" or (declared.startswith("application/") and declared.endswith("+json"))


def media_type(headers: Mapping[str, str]) -> str:
    """The media type that a body is declared to have, without its parameters; ``""`` for none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(receive: Receive, headers: Mapping[str, str], limits: ServerConfig) -> bytes:
    """Read and decode a whole request body.

    Args:
        receive: The ASGI server's.
        headers: The request's headers.
        limits: How large and how slow it may be.

    Raises:
        RequestTooLargeError: it is, or it says that it will be, larger than the limit.
        RefusedError: 408 when it comes too slowly, 415 for an encoding that is not understood.
        InvalidRequestError: its encoding is broken.
        ClientLeftError: the client went away.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in ENCODINGS:
        raise RefusedError(
            415,
            f"the content encoding {encoding[:80]!r} is not understood: send the body as it is, or as gzip or deflate",
            code="unsupported_content_encoding",
            headers={"accept-encoding": "gzip, deflate"},
        )
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limits.max_body_bytes:
        raise _too_large(limits)
    body = await _collect(receive, limits)
    if encoding != "identity":
        return await decompress(body, encoding, limits)
    return body


class _Body:
    """A body as far as it has come."""

    def __init__(self, limits: ServerConfig) -> None:
        self._limits = limits
        self._pieces: list[bytes] = []
        self.size = 0

    def add(self, message: Message) -> bool:
        """Take the next message; whether it was the last."""
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        piece: bytes = message.get("body", b"")
        if piece:
            self.size += len(piece)
            if self.size > self._limits.max_body_bytes:
                raise _too_large(self._limits)
            self._pieces.append(piece)
        return not message.get("more_body", False)

    def joined(self) -> bytes:
        """All of it."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)


async def _collect(receive: Receive, limits: ServerConfig) -> bytes:
    """All pieces of the body as they are on the wire.

    The deadline is ``body_timeout`` for the start, moves on as bytes come at no less than ``body_rate``, and no pause
    may be longer than ``body_timeout``, so that a fast start buys no long stall.
    """
    body = _Body(limits)
    mailbox = Mailbox.behind(receive)
    if mailbox is not None:
        # Most bodies come together with their head: what is there already needs no deadline.
        while (message := mailbox.take()) is not None:
            if body.add(message):
                return body.joined()
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout_at(started + limits.body_timeout) as deadline:
            while not body.add(await receive()):
                earned = started + limits.body_timeout + body.size / limits.body_rate
                deadline.reschedule(min(earned, loop.time() + limits.body_timeout))
    except TimeoutError:
        raise too_slow(limits) from None
    return body.joined()


def too_slow(limits: ServerConfig) -> RefusedError:
    """The error for a body that does not keep up."""
    return RefusedError(
        408,
        f"the request body came too slowly: after {limits.body_timeout:g} s at least {limits.body_rate} bytes "
        "a second are wanted",
        code="request_timeout",
        close=True,
    )


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Whether a body is compressed, so that it cannot be taken as it comes."""
    return headers.get("content-encoding", "identity").strip().lower() != "identity"


async def decompress(body: bytes, encoding: str, limits: ServerConfig) -> bytes:
    """Undo a content encoding, in pieces, so that a bomb stops at the bound and other requests go on.

    Raises:
        RequestTooLargeError: more comes out than the limit, or than a hundred times what went in.
        InvalidRequestError: the data is broken, cut short, or followed by something else.
    """
    wbits = ENCODINGS[encoding]
    if encoding == "deflate" and body[:1] and body[0] & 0x0F != 8:
        wbits = -zlib.MAX_WBITS  # Some clients send bare deflate data without the zlib header.
    stream = zlib.decompressobj(wbits)
    bound = max(FREE_BYTES, MAX_RATIO * len(body))
    pieces: list[bytes] = []
    size = 0
    rest = body
    try:
        while not stream.eof:
            piece = stream.decompress(rest, PIECE)
            rest = stream.unconsumed_tail
            if not piece and not rest:
                break
            size += len(piece)
            if size > limits.max_body_bytes:
                raise _too_large(limits)
            if size > bound:
                raise RequestTooLargeError(
                    f"the request body grows to more than {MAX_RATIO} times its size when its {encoding} is undone"
                )
            pieces.append(piece)
            await asyncio.sleep(0)
    except zlib.error:
        raise InvalidRequestError(f"the body is not valid {encoding} data", code="invalid_content_encoding") from None
    if not stream.eof or stream.unused_data:
        what = "followed by something else" if stream.eof else "cut short"
        raise InvalidRequestError(f"the body's {encoding} data is {what}", code="invalid_content_encoding")
    return b"".join(pieces)


def _too_large(limits: ServerConfig) -> RequestTooLargeError:
    return RequestTooLargeError(
        f"the request body is larger than {limits.max_body_bytes} bytes (server.max-body-bytes)"
    )
