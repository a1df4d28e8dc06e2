"""Requests that are refused before any exchange has begun for them: all are counted, some leave a record each.

A flood of garbage must not become a flood of records. So only so many a second leave one of their own; of the others
each kind is counted, and told by one record for all of them, a little later.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.formats import get_format
from llmgate.spec import GatewayError, OverloadedError

from .dialects import dialect_of
from .errors import RefusedError

if TYPE_CHECKING:
    from llmgate.pipeline import Pipeline

__all__ = ["SURFACE", "Refusals", "RefusedRequest", "from_the_wire"]

SURFACE: Final = "host"
"""The surface of such records: no other has seen the request."""
LATER: Final = 5.0
"""Seconds after which those are told that had no record of their own."""
LONGEST: Final = 200
"""Characters of a path that a record keeps."""
MOST_KINDS: Final = 64
"""Kinds that are told apart among those without a record of their own; there are fewer."""

_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]{1,65536}) HTTP/[0-9]\.[0-9]\r?\n")
_LONGEST_LINE: Final = 66_000

_ON_THE_WIRE: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid_http", "the request is not valid HTTP/1.1"),
    408: ("head_timeout", "the head of the request did not come in time"),
    431: ("invalid_http", "the head of the request is too large"),
    501: ("invalid_http", "this transfer encoding is not understood"),
    505: ("invalid_http", "only HTTP/1.1 is spoken here"),
}


@attrs.frozen
class RefusedRequest:
    """What is known of a request that is refused.

    Args:
        error: Why.
        method: Its method.
        path: Its path, without a query, which may hold a key.
        address: The client's address.
        headers: Its headers, lower-case names; none where they were not read.
        request_id: The client's own id.
        age: Seconds since it began.
    """

    error: GatewayError
    method: str
    path: str
    address: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    request_id: str | None = None
    age: float = 0.0


class Refusals:
    """Counts what is refused and has some of it recorded.

    Args:
        pipeline: What records.
        rate: How many records of their own a second; 0 for no records at all.

    Attributes:
        counts: How many were refused so far, by status and code.
    """

    def __init__(self, pipeline: Pipeline, rate: int) -> None:
        self._pipeline = pipeline
        self._rate = float(rate)
        self._left = self._rate
        self._since = 0.0
        self._untold: dict[tuple[int, str], tuple[int, RefusedRequest]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.counts: dict[tuple[int, str], int] = {}

    def on_the_wire(self, status: int, head: bytes, address: str) -> None:
        """Note a request that was refused before it was one: malformed, too slow, too much; by its first line.

        Args:
            status: What it was answered, or would have been.
            head: What has come of it; without a whole first line it was no request.
            address: The client's address.
        """
        has_room = self._has_room()
        if not has_room and (status, _code(status)) in self._untold:
            self._count(status, _code(status))  # nothing of it is looked at: a flood costs a few additions
            kind = (status, _code(status))
            count, sample = self._untold[kind]
            self._untold[kind] = (count + 1, sample)
            return
        refused = from_the_wire(status, head, address)
        if refused is not None:
            self.note(refused)

    def note(self, refused: RefusedRequest) -> str | None:
        """Note a request that is refused.

        Returns:
            The id of its record; None where it has none of its own.
        """
        status, code = refused.error.http_status, refused.error.code
        self._count(status, code)
        if self._rate and self._has_room():
            self._left -= 1
            return self._tell(refused, 0)
        if self._rate:
            kind = (status, code)
            if kind not in self._untold and len(self._untold) >= MOST_KINDS:
                kind = (status, "")
            count, _ = self._untold.get(kind, (0, refused))
            self._untold[kind] = (count + 1, refused)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LATER, self.tell_the_rest)
        return None

    def tell_the_rest(self) -> None:
        """Record, once for each kind, those that had no record of their own."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        untold, self._untold = self._untold, {}
        for count, sample in untold.values():
            self._tell(sample, count - 1)

    def _count(self, status: int, code: str) -> None:
        kind = (status, code)
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def _has_room(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(self._rate, self._left + (now - self._since) * self._rate)
        self._since = now
        return self._left >= 1

    def _tell(self, refused: RefusedRequest, alike: int) -> str | None:
        if not self._pipeline.ready:
            return None
        frame = self._pipeline.exchange(
            operation=get_format(dialect_of(refused.path, refused.headers)).operation,
            surface=SURFACE,
            client_address=refused.address,
            client_request_id=refused.request_id,
        )
        told = {"method": refused.method[:32], "path": refused.path[:LONGEST]}
        if alike:
            told["refused-alike"] = str(alike)
        self._pipeline.own(frame.refuse(refused.error, told, age=refused.age, headers=refused.headers))
        return frame.id


def from_the_wire(status: int, head: bytes, address: str) -> RefusedRequest | None:
    """What the first bytes of a request tell of it; None where they are no first line of one.

    Args:
        status: What it is refused with.
        head: What has come of it.
        address: The client's address.
    """
    line = _REQUEST_LINE.match(head[:_LONGEST_LINE].lstrip(b"\r\n"))
    if line is None:
        return None
    error: GatewayError
    if status == OverloadedError.status_code:
        error = OverloadedError("the gateway serves as many requests as it is told to at once")
    else:
        code, message = _ON_THE_WIRE.get(status, _ON_THE_WIRE[400])
        error = RefusedError(status, message, code=code)
    path = line[2].decode("latin-1").partition("?")[0]
    return RefusedRequest(error, line[1].decode("latin-1"), path, address)


def _code(status: int) -> str:
    if status == OverloadedError.status_code:
        return OverloadedError.default_code
    return _ON_THE_WIRE.get(status, _ON_THE_WIRE[400])[0]
