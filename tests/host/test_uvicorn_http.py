"""uvicorn's protocol on our transport side: what it takes, what it leaves to the strict one; no client can tell."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.config.model import ServerConfig
from llmgate.host.connection import Connection, Listener
from llmgate.host.server import settings_of, uvicorn_for
from llmgate.host.uvicorn_http import MOST_PIECES

HEAD = b"POST /v1/chat?a=b%20c HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SHOWN = (
    "type",
    "method",
    "path",
    "raw_path",
    "query_string",
    "http_version",
    "scheme",
    "client",
    "server",
    "root_path",
)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self, protocol: Connection) -> None:
        self.protocol = protocol
        self.written = b""
        self.ended = self.reading = self.gone = False

    def get_extra_info(self, name, default=None):
        return {"peername": ("127.0.0.1", 5), "sockname": ("127.0.0.1", 6)}.get(name, default)

    def write(self, data):
        assert not self.ended, "nothing may follow the end"
        self.written += data

    def close(self):
        if not self.gone:
            self.ended = self.gone = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def write_eof(self):
        self.ended = True

    def can_write_eof(self):
        return True

    def is_closing(self):
        return self.gone

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high):
        pass

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True


async def showing(scope, receive, send):
    """Answers with what it was given; the path says how."""
    body, pieces = b"", []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    shown = {name: repr(scope.get(name)) for name in SHOWN}
    text = json.dumps([shown, repr(sorted(scope["headers"])), repr(body)]).encode()
    headers = [(b"content-type", b"application/json")]
    if scope["path"].startswith("/fail"):
        raise ValueError("as told")
    if scope["path"].startswith("/silent"):
        return
    if scope["path"].startswith("/short"):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"four", "more_body": True})
        return
    if scope["path"].startswith("/part"):
        pieces = [text[:7], b"", text[7:]]
    elif scope["path"].startswith("/none"):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"left out"})
        return
    elif scope["path"].startswith("/odd"):
        headers = [(b"x-odd", "\xe9".encode("latin-1")), (b"connection", b"close")]
    if not pieces:
        headers.append((b"content-length", b"%d" % len(text)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if pieces else text})


def listener(use: str, app=showing, **limits) -> Listener:
    server = ServerConfig(use=use, **limits)
    config = settings_of(server)
    config.response_headers = lambda protocol: [(b"date", b"today")]  # else the clock would make a difference
    return Listener(app, config, stall_timeout=0.1, uvicorn=uvicorn_for(app, server))


async def turns(count: int = 12) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def talk(use: str, pieces: list[bytes], *, leaves: bool = False) -> tuple[bytes, bool]:
    """What a client gets that sends these pieces, and whether the connection is over then."""
    listening = listener(use)
    connection = listening.connect()
    wire = Wire(connection)
    connection.connection_made(wire)  # type: ignore[arg-type]
    for piece in pieces:
        connection.data_received(piece)
        await turns()
    if leaves and not connection.eof_received():
        wire.close()
    await turns()
    # h11, which hypercorn has to write answers to what did not come in one piece, writes two names in capitals.
    written = wire.written.replace(b"Transfer-Encoding: ", b"transfer-encoding: ").replace(
        b"Connection: ", b"connection: "
    )
    got = written, wire.ended
    wire.close()
    listening.stop()
    await listening.finish()
    return got


def request(head: bytes = HEAD, body: bytes = b"{}") -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


GET = b"GET /part HTTP/1.1\r\nHost: localhost\r\n\r\n"
SOME = [
    request(),
    request(body=b""),
    request(body=b"x" * 300_000),
    GET,
    GET.replace(b"/part", b"/none"),
    GET.replace(b"/part", b"/odd"),
    GET.replace(b"/part", b"/fail"),
    GET.replace(b"/part", b"/silent"),
    GET.replace(b"/part", b"/short"),
    GET.replace(b"GET", b"HEAD"),
    GET.replace(b"1.1", b"1.0"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nAccept: a\r\naccept: b\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nX:\t a b \t\r\nEmpty:\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    GET.replace(b"\r\n", b"\n"),
    GET.replace(b"GET", b"get"),
    GET.replace(b"Host: localhost\r\n", b""),
    GET.replace(b"/part", b"http://evil/part"),
    GET.replace(b"/part", b"/a#b"),
    GET.replace(b"/part", b"part"),
    GET.replace(b"/part", b'/"<>{}|^`\\'),
    HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    HEAD + b"Content-Length: +2\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"nothing of the kind\r\n\r\n",
    b"\r\n\r\n" + GET,
]


@st.composite
def conversations(draw) -> list[bytes]:
    """Requests one behind the other, a byte of which may be another one, cut anywhere."""
    whole = b"".join(draw(st.lists(st.sampled_from(SOME), min_size=1, max_size=4)))
    if draw(st.booleans()):
        at = draw(st.integers(0, min(len(whole), 600) - 1))
        whole = (
            whole[:at] + draw(st.sampled_from([b"", b"\r", b"\n", b"\0", b" ", b":", b"\xe9", b"a"])) + whole[at + 1 :]
        )
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return [one for one in map(lambda a, b: whole[a:b], [0, *cuts], [*cuts, len(whole)]) if one]


@given(conversations(), st.booleans())
@settings(max_examples=150)
async def test_no_client_can_tell_which_server_it_talks_to(pieces: list[bytes], leaves: bool):
    assert await talk("uvicorn", pieces, leaves=leaves) == await talk("hypercorn", pieces, leaves=leaves)


@pytest.mark.parametrize("data", SOME, ids=range(len(SOME)))
async def test_nor_when_everything_comes_at_once_or_byte_by_byte(data: bytes):
    expected = await talk("hypercorn", [data])
    assert await talk("uvicorn", [data]) == expected
    if len(data) < 1000:
        assert await talk("uvicorn", [data[at : at + 1] for at in range(len(data))]) == expected


async def connected(use: str = "uvicorn", app=showing, **limits):
    connection = listener(use, app, **limits).connect()
    wire = Wire(connection)
    connection.connection_made(wire)  # type: ignore[arg-type]
    return connection, wire


async def test_plain_requests_are_uvicorns_and_the_others_for_good_the_strict_protocols():
    connection, wire = await connected()
    for count in (1, 2, 3):
        connection.data_received(request())
        await turns()
        assert wire.written.count(b"HTTP/1.1 200") == count
        assert connection._plain is not None
        assert connection._plain.taken == count
    connection.data_received(GET.replace(b"GET", b"HEAD"))
    await turns()
    assert connection._plain is None
    connection.data_received(request())
    await turns()
    assert wire.written.count(b"HTTP/1.1 200") == 5
    wire.close()
    await turns()


async def test_the_bound_of_requests_counts_those_of_both():
    connection, wire = await connected(max_requests_per_connection=3)
    for data in (request(), GET.replace(b"GET", b"HEAD"), request()):
        assert not wire.ended
        connection.data_received(data)
        await turns()
    assert wire.written.count(b"connection: close") == 1
    assert wire.ended


async def test_a_head_in_few_pieces_is_waited_for_and_in_many_is_the_strict_protocols():
    for count, stays in ((MOST_PIECES, True), (MOST_PIECES + 2, False)):
        connection, wire = await connected()
        data = GET
        for _ in range(count - 1):
            connection.data_received(data[:2])
            data = data[2:]
        connection.data_received(data)
        await turns()
        assert b"HTTP/1.1 200" in wire.written
        assert (connection._plain is not None) is stays
        wire.close()
        await turns()


async def test_a_body_that_nobody_takes_stops_the_reading_until_somebody_does():
    go = asyncio.Event()

    async def slow(scope, receive, send):
        await go.wait()
        await showing(scope, receive, send)

    connection, wire = await connected(app=slow)
    wire.reading = True
    connection.data_received(HEAD + b"Content-Length: 600000\r\n\r\n")
    for _ in range(6):
        connection.data_received(b"x" * 100_000)
        await turns(2)
    assert not wire.reading
    go.set()
    await turns(30)
    assert wire.reading
    assert b"HTTP/1.1 200" in wire.written
    wire.close()
    await turns()


async def test_a_departure_is_heard_of_though_a_pipelined_request_waits():
    heard = []

    async def waiting(scope, receive, send):
        while (message := await receive())["type"] != "http.disconnect":
            heard.append(message["type"])
        heard.append("http.disconnect")

    connection, _ = await connected(app=waiting)
    connection.data_received(request() + request())
    await turns()
    assert heard == ["http.request"]
    connection.connection_lost(None)
    await turns()
    assert heard == ["http.request", "http.disconnect"]


async def test_what_may_not_be_sent_is_an_error_of_the_application():
    failures = []

    async def wrong(scope, receive, send):
        for message in (
            {"type": "http.response.body", "body": b"too early"},
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"many")]},
        ):
            try:
                await send(message)
            except Exception as failure:
                failures.append(str(failure))

    connection, wire = await connected(app=wrong)
    connection.data_received(GET)
    await turns()
    assert len(failures) == 2
    assert wire.ended
    assert b"too early" not in wire.written
