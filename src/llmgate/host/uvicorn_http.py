"""Requests as nearly every client writes them, on uvicorn's httptools protocol over our own transport side.

uvicorn's protocol reads the head of a request and makes the scope. It is given a head only once one linear expression
has matched all of it, so that nothing reaches it that two readers may read in two ways; what it is not given, or does
not take, or asks for more than a plain exchange, is handed to the strict protocol, which the connection keeps from then
on. So it never refuses a request, and what is refused is refused in the same words whichever server runs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import h11
import httptools
import uvicorn
from starlette.types import ASGIApp, Message
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from .credentials import CERTIFICATE
from .mailbox import READ_AHEAD, Mailbox
from .plain import BODILESS, ELSEWHERE, HEAD, HEAD_BEGUN, KEPT_ALIVE, LENGTH, LONGEST_HEAD, PlainExchange
from .protocol import are_plain

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["UvicornHttp", "UvicornServer"]

log = logging.getLogger("llmgate.host")

MOST_PIECES: Final = 8
"""In how many pieces a head may come: each makes it be looked at anew."""


class UvicornServer:
    """uvicorn's settings and state, as far as its protocol asks for them.

    Args:
        app: The ASGI application.
    """

    def __init__(self, app: ASGIApp) -> None:
        # None of what uvicorn does around a protocol is used: listening, logging, signals and shutdown are ours.
        self.config = uvicorn.Config(
            app, interface="asgi3", lifespan="off", ws="none", log_config=None, access_log=False, proxy_headers=False
        )
        self.config.load()
        self.state = ServerState()

    def begin(self, outer: Connection) -> UvicornHttp:
        """The protocol of a new connection."""
        return UvicornHttp(self, outer)


class UvicornHttp(HttpToolsProtocol):
    """The plain requests of one connection.

    Args:
        server: What all connections share.
        outer: The transport side.

    Attributes:
        taken: Requests that were taken so far.
    """

    def __init__(self, server: UvicornServer, outer: Connection) -> None:
        super().__init__(server.config, server.state, {}, asyncio.get_running_loop())
        self.outer = outer
        self.client, self.server, tls = outer.addresses()
        self.scheme = "https" if tls else "http"
        self.taken = 0
        self._longest = min(LONGEST_HEAD, outer.longest_head)
        self._pieces = 0
        self._rest = b""
        """What has come and is not read yet; behind a request, the beginning of another."""
        self._left = 0
        """Bytes of the request's body that have not come."""
        self._held = False
        self._exchange: _Exchange | None = None

    # Called by the transport side.

    @property
    def unread(self) -> bool:
        """Whether the client may be sending bytes that nobody takes."""
        return self._left > 0 or bool(self._rest)

    @property
    def begun(self) -> bytes:
        """What has come of a request whose head is not whole."""
        return self._rest

    def feed(self, data: bytes) -> bytes | None:
        """Take bytes.

        Returns:
            None; or, where the strict protocol is to go on, all that it has to read.
        """
        self._rest = self._rest + data if self._rest else data
        if self._exchange is None:
            return self._begin() if self._rest else None
        if self._left:
            self._feed_body()
        if self._exchange.mailbox.full or len(self._rest) > READ_AHEAD:
            self._hold(self._exchange.mailbox)
        return None

    def leave(self) -> None:
        """The client has left, or is about to be left."""
        if self._exchange is not None:
            self._exchange.leave()

    # Called by uvicorn's parser.

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field; the parser leaves a tab behind its value there, which belongs to the white space around it."""
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        """All fields are read; whether they are those of a plain request is looked at behind the parser."""

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        assert self._exchange is not None, "a body comes behind its head"
        self._exchange.mailbox.post({"type": "http.request", "body": body, "more_body": self._left > 0})

    def on_message_complete(self) -> None:
        """The request is read; who asked for it knows by the length."""

    # The rest is between this class and its exchanges.

    def _begin(self) -> bytes | None:
        data = self._rest
        match = HEAD.match(data, 0, LONGEST_HEAD)
        if match is None:
            return self._wait_for_more(data)
        end = match.end()
        try:
            self.parser.feed_data(data[:end])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return self._give_up()
        fields = dict(self.headers)
        length = fields.get(b"content-length", b"0")
        if (
            len(fields) < len(self.headers)
            or b"host" not in fields
            or not ELSEWHERE.isdisjoint(fields)
            or fields.get(b"connection") not in KEPT_ALIVE
            or LENGTH.fullmatch(length) is None
        ):
            return self._give_up()
        self._pieces = 0
        self._rest, self._left = data[end:], int(length)
        self._start(match[1])
        return None

    def _wait_for_more(self, data: bytes) -> bytes | None:
        """Wait for the rest of a head as long as it may still become that of a plain request."""
        self._pieces += 1
        if self._pieces > MOST_PIECES or len(data) > self._longest or HEAD_BEGUN.fullmatch(data) is None:
            return self._give_up()
        return None

    def _give_up(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    def _start(self, method: bytes) -> None:
        """Hand a request over, with as much of its body as has come."""
        scope: Any = self.scope
        raw_path, _, query = self.url.partition(b"?")
        path = raw_path.decode("ascii")
        scope["method"] = method.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = raw_path
        scope["query_string"] = query
        scope["extensions"] = {}
        if self.outer.certificate is not None:
            scope[CERTIFICATE] = self.outer.certificate
        self.taken += 1
        exchange = self._exchange = _Exchange(self)
        if not self._left:
            exchange.mailbox.post({"type": "http.request", "body": b"", "more_body": False})
        elif self._rest:
            self._feed_body()
        self.outer.busy()
        self.outer.spawn(exchange.run(self.config.loaded_app, scope))

    def _feed_body(self) -> None:
        """Read what has come of the body, and no byte behind it."""
        if self._left >= len(self._rest):
            piece, self._rest = self._rest, b""
        else:
            piece, self._rest = self._rest[: self._left], self._rest[self._left :]
        self._left -= len(piece)
        self.parser.feed_data(piece)

    def _hold(self, mailbox: Mailbox) -> None:
        """Take nothing more from the client until the application has taken what there is."""
        if not self._held:
            self._held = True
            self.outer.hold()
            self.outer.spawn(self._await_room(mailbox))

    async def _await_room(self, mailbox: Mailbox) -> None:
        await mailbox.room()
        if len(self._rest) <= READ_AHEAD:
            self._unhold()

    def _unhold(self) -> None:
        if self._held:
            self._held = False
            self.outer.unhold()

    def finish(self, exchange: _Exchange, *, kept: bool) -> None:
        """An answer is out; the connection is there for another request if nothing speaks against it."""
        if self._exchange is not exchange:
            return
        self._exchange = None
        if kept and not self._left:
            self._unhold()
            self.outer.idle()
        else:
            self.outer.close()


class _Exchange:
    """One request and its answer.

    Args:
        http: The connection's protocol.
    """

    __slots__ = ("_answer", "_bodiless", "_http", "_left", "mailbox")

    def __init__(self, http: UvicornHttp) -> None:
        self._http = http
        self._answer = PlainExchange(0, b"")
        self._bodiless = False
        self._left = False
        self.mailbox = Mailbox()

    async def run(self, app: Any, scope: Any) -> None:
        """Have the application answer."""
        try:
            await app(scope, self.mailbox.get, self.send)
        except Exception:
            log.exception("the application failed")
        finally:
            self.mailbox.shut()
            if not self._left and self._answer.our_state not in OVER:
                self._left_unanswered()
            self._http.outer.app_done()

    def leave(self) -> None:
        """The client is gone: the application hears of it, and what it still sends is sent into the void."""
        self._left = True
        self.mailbox.leave()

    async def send(self, message: Message) -> None:
        """Take a message of the application's.

        Raises:
            RuntimeError: it may not come now.
            h11.LocalProtocolError: it cannot be sent.
        """
        kind, answer, outer = message["type"], self._answer, self._http.outer
        state = answer.our_state
        if kind == "http.response.body" and state is h11.SEND_BODY:
            more = message.get("more_body", False)
            outer.write(b"" if self._bodiless else answer.piece(message.get("body", b"")))
            if not more:
                outer.write(answer.end())
                outer.flush()
            if outer.room is not None:
                del message  # the transport has what is left of it: a slow client must not keep it in memory twice
                await asyncio.shield(outer.room)
            if not more:
                self.mailbox.leave()
                self._http.finish(self, kept=answer.our_state is h11.DONE)
        elif kind == "http.response.start" and state is h11.SEND_RESPONSE:
            outer.write(self._head(int(message["status"]), [*message.get("headers", ())]))
        elif not self._left:
            raise RuntimeError(f"{kind} cannot be sent now")

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        headers += self._http.outer.closing_headers(self._http.taken)
        if not are_plain(headers):
            headers = list(h11.Response(status_code=status, headers=headers).headers)
        self._bodiless = status in BODILESS
        return self._answer.head(status, headers)

    def _left_unanswered(self) -> None:
        """The application has returned before the end of its answer: the client is told, or at least cut off."""
        outer = self._http.outer
        if self._answer.our_state is h11.SEND_RESPONSE:
            outer.write(self._head(500, [(b"content-length", b"0"), (b"connection", b"close")]))
        self._http.finish(self, kept=False)


OVER: Final = frozenset({h11.DONE, h11.MUST_CLOSE})
