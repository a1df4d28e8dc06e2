"""Requests as nearly every client writes them, read and answered without h11; it is asked about all others.

h11 validates each request and answer anew, and tracks what both sides may do next: a third of what a proxied request
executes. Most of that is settled by the form of the head. Here a head is read only if one linear expression matches all
of it: HTTP/1.1, CRLF line ends, printable ASCII, no field twice, one ``Host``, a length or no body, nothing that asks
for another protocol, coding or end of the connection. What is not so, or comes in pieces, is h11's to read or to
refuse: this never refuses a request, and takes none that h11 would refuse or read differently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import h11

__all__ = ["PlainExchange", "PlainRequest", "read_plain"]

LONGEST_HEAD: Final = 32 * 1024
"""Bytes of a head that is looked at here; the guard of the application refuses less than that."""

HEAD: Final = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE) ([!-~]+) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)+)\r\n"
)
HEAD_BEGUN: Final = re.compile(
    rb"""
      [A-Z]{1,7}(?:\ [!-~]*(?:\ [HTP/1.]{0,8})?)?\r?
    | (?:GET|POST|PUT|PATCH|DELETE)\ [!-~]+\ HTTP/1\.1\r\n
      (?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\ -~]*\r\n)*
      (?:\r|[!#$%&'*+\-.^_`|~0-9A-Za-z]*|[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\ -~]*\r?)
    """,
    re.VERBOSE,
)
"""What may become such a head when more of it has come."""
LENGTH: Final = re.compile(rb"[0-9]{1,15}")
ELSEWHERE: Final = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"trailer"})
"""Fields that change how a request is read, or what it becomes."""
KEPT_ALIVE: Final = frozenset({None, b"keep-alive", b"Keep-Alive"})
BODILESS: Final = frozenset({204, 304})

END: Final = h11.EndOfMessage()


class PlainRequest(h11.Request):
    """The head of a request; ``items`` are its fields, names in lower case."""

    __slots__ = ("items",)
    items: list[tuple[bytes, bytes]]

    def __init__(self, method: bytes, target: bytes, items: list[tuple[bytes, bytes]]) -> None:
        # Not through h11's own, which would look at each field again.
        put = object.__setattr__
        put(self, "method", method)
        put(self, "target", target)
        put(self, "http_version", b"1.1")
        put(self, "items", items)


class PlainExchange:
    """One request and its answer, in the terms of ``h11.Connection``.

    Args:
        length: Bytes of the request's body.
        rest: What came behind the head.
    """

    __slots__ = ("_chunked", "_closes", "_left", "_owed", "our_state", "rest", "their_state")

    def __init__(self, length: int, rest: bytes) -> None:
        self.our_state: Any = h11.SEND_RESPONSE
        self.their_state: Any = h11.SEND_BODY
        self.rest = rest
        """What has come and is not read yet; behind the body, the beginning of another request."""
        self._left = length
        self._owed = 0
        self._chunked = False
        self._closes = False

    def receive_data(self, data: bytes) -> None:
        """Take bytes."""
        self.rest = self.rest + data if self.rest else data

    def next_event(self) -> Any:
        """The next event of the body."""
        if self.their_state is h11.DONE:
            return h11.PAUSED if self.rest else h11.NEED_DATA
        if not self._left:
            self.their_state = h11.DONE
            return END
        if not self.rest:
            return h11.NEED_DATA
        data, self.rest = self.rest[: self._left], self.rest[self._left :]
        self._left -= len(data)
        return h11.Data(data=data)

    def head(self, status: int, items: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The bytes of an answer's head.

        Args:
            status: 200 or above.
            items: Its fields, each valid as it is, names in lower case.

        Raises:
            h11.LocalProtocolError: a head has been sent already, or the length is no number.
        """
        if self.our_state is not h11.SEND_RESPONSE:
            raise self._refused("a second answer cannot be sent")
        self.our_state = h11.SEND_BODY
        fields = dict(items)
        lines = [b"%b: %b\r\n" % item for item in items]
        if status in BODILESS:
            self._owed = 0
        elif b"transfer-encoding" in fields:
            raise self._refused("the framing of an answer is the server's")
        elif (length := fields.get(b"content-length")) is None:
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        elif LENGTH.fullmatch(length):
            self._owed = int(length)
        else:
            raise self._refused("the length of an answer is a number")
        self._closes = b"close" in fields.get(b"connection", b"").lower()
        return b"HTTP/1.1 %d \r\n%b\r\n" % (status, b"".join(lines))

    def piece(self, data: bytes) -> bytes:
        """The bytes of a piece of an answer's body.

        Raises:
            h11.LocalProtocolError: no head has been sent, or this is more than it has announced.
        """
        if self.our_state is not h11.SEND_BODY:
            raise self._refused("a body follows a head")
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._owed -= len(data)
        if self._owed < 0:
            raise self._refused("the body of an answer is longer than its content-length")
        return data

    def end(self) -> bytes:
        """The bytes that end an answer.

        Raises:
            h11.LocalProtocolError: its body is shorter than its head has announced.
        """
        if self.our_state is not h11.SEND_BODY:
            raise self._refused("the end of an answer follows its head")
        if self._owed:
            raise self._refused("the body of an answer is shorter than its content-length")
        self.our_state = h11.MUST_CLOSE if self._closes else h11.DONE
        return b"0\r\n\r\n" if self._chunked else b""

    def send(self, event: Any) -> bytes:
        """The bytes of an event of h11's, which has looked at it."""
        if isinstance(event, h11.Response):
            return self.head(event.status_code, list(event.headers))
        if isinstance(event, h11.Data):
            return self.piece(event.data)
        if isinstance(event, h11.EndOfMessage):
            return self.end()
        raise self._refused(f"{type(event).__name__} cannot be sent here")

    def _refused(self, why: str) -> h11.LocalProtocolError:
        self.our_state = h11.ERROR
        return h11.LocalProtocolError(why)


def read_plain(data: bytes) -> tuple[PlainRequest, PlainExchange] | None:
    """The request that some bytes begin with; None where it is h11's to read them."""
    match = HEAD.match(data, 0, LONGEST_HEAD)
    if match is None:
        return None
    method, target, block = match.groups()
    lines = [line.partition(b":") for line in block[:-2].split(b"\r\n")]
    items = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
    fields = dict(items)
    length = fields.get(b"content-length", b"0")
    if (
        len(fields) < len(items)
        or b"host" not in fields
        or not ELSEWHERE.isdisjoint(fields)
        or fields.get(b"connection") not in KEPT_ALIVE
        or LENGTH.fullmatch(length) is None
    ):
        return None
    return PlainRequest(method, target, items), PlainExchange(int(length), data[match.end() :])
