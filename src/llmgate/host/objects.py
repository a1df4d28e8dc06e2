"""JSON objects that are the gateway's own to read: feedback, logged calls, a router that is to be looked at."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, top
from llmgate.spec import InvalidRequestError, RequestTooLargeError

from .calls import Call
from .reading import require_json

__all__ = ["SMALL_BYTES", "read_object"]

SMALL_BYTES: Final = 128 * 1024
"""As much as what a person or a program has to say about one thing may take."""
_THREAD_BYTES: Final = 256 * 1024
"""From this size on a body is taken apart where it holds up nobody else."""


async def read_object(call: Call, what: str, *, most: int | None = None) -> dict[str, Any]:
    """The body of a request, which must be one JSON object.

    Args:
        call: The request.
        what: What the body is to be, with an example, as the error calls it.
        most: Bytes that it may have; None for as many as any request.

    Raises:
        RefusedError: 415, it is not declared to be JSON.
        RequestTooLargeError: it is.
        InvalidRequestError: it is no object, or can be read in two ways.
    """
    require_json(call.headers)
    try:
        body = await call.read(most)
    except RequestTooLargeError:
        if most is None or most >= call.desk.settings.max_body_bytes:
            raise
        raise RequestTooLargeError(f"the request body is larger than {most} bytes, and must be {what}") from None
    try:
        read = top(body) if len(body) < _THREAD_BYTES else await asyncio.to_thread(top, body)
    except JSONError as error:
        raise InvalidRequestError(f"the body must be {what}: {error}", code="invalid_json") from None
    return read.values()
