"""The short way of plain requests, held against h11: it takes nothing that h11 refuses or reads differently."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import pytest
from hypothesis import given, settings, strategies as st

from host.test_connection import connected, listening
from llmgate.host.plain import PlainExchange, read_plain

HOST = b"Host: localhost"


def head(*fields: bytes, line: bytes = b"POST /v1/chat/completions?a=b HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def by_h11(data: bytes) -> tuple[h11.Request, bytes, bytes] | None:
    """The request, as much of its body as is there, and what is behind it; None where h11 refuses it."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    body = b""
    try:
        request = server.next_event()
        while isinstance(event := server.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        return None
    return (request, body, server.trailing_data[0]) if isinstance(request, h11.Request) else None


def plainly(data: bytes) -> tuple[Any, bytes, bytes] | None:
    read = read_plain(data)
    if read is None:
        return None
    request, exchange = read
    body = b""
    while isinstance(event := exchange.next_event(), h11.Data):
        body += event.data
    return request, body, exchange.rest


PIECES = st.sampled_from(
    [
        *(b"GET", b"POST", b"post", b"HEAD", b" ", b"/", b"/a?b=c", b"HTTP/1.1", b"HTTP/1.0"),
        *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" folded", b":", b"abc", b"abcdef"),
        *(b"Host: a", b"host:b", b"Content-Length: 3", b"content-length:  3 ", b"Content-Length: +3"),
        *(b"Content-Length: 3, 3", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive"),
        *(b"Expect: 100-continue", b"Upgrade: websocket", b"X: \x00", b"X: \xff", b"X : y", b"X:", b"X:\ty\t"),
    ]
)
LINES = st.lists(
    st.sampled_from([HOST, b"content-length: 3", b"Content-Length: 0", b"A: b", b"X-Empty:", b"Accept:  a, b  "])
    | st.binary(max_size=12),
    max_size=5,
)


@given(st.lists(PIECES, max_size=14).map(b"".join) | LINES.map(lambda fields: head(HOST, *fields) + b"abcdef"))
@settings(max_examples=1500, deadline=None)
def test_what_is_read_plainly_h11_reads_alike(data: bytes) -> None:
    read = plainly(data)
    if read is None:
        return
    request, body, rest = read
    known = by_h11(data)
    assert known is not None, "h11 refuses it"
    assert (request.method, request.target, request.http_version) == (known[0].method, known[0].target, b"1.1")
    assert request.items == list(known[0].headers)
    assert (body, rest) == known[1:]


def test_the_requests_of_the_usual_clients_are_plain() -> None:
    fields = [
        HOST,
        b"Accept: */*",
        b"User-Agent: OpenAI/Python 2.8.1",
        b"Authorization: Bearer sk-1",
        b"Content-Length: 2",
    ]
    assert plainly(head(*fields, b"Connection: keep-alive") + b"{}") is not None
    assert plainly(head(HOST, line=b"GET /v1/models HTTP/1.1")) is not None


@pytest.mark.parametrize(
    "data",
    [
        head(HOST, b"Transfer-Encoding: chunked"),
        head(HOST, b"Content-Length: 3", b"Content-Length: 3"),
        head(HOST, HOST),
        head(b"Accept: */*"),
        head(HOST, b"Connection: close"),
        head(HOST, b"Expect: 100-continue", b"Content-Length: 3"),
        head(HOST, b"Connection: upgrade", b"Upgrade: websocket"),
        head(HOST, line=b"HEAD / HTTP/1.1"),
        head(HOST, line=b"GET / HTTP/1.0"),
        head(HOST, b"A: b\x00"),
        head(HOST, b"A: b\n c"),
        head(HOST)[:-1],
        b"\r\n" + head(HOST),
        head(HOST, b"A: " + b"x" * 40_000),
    ],
)
def test_everything_else_is_left_to_h11(data: bytes) -> None:
    assert read_plain(data) is None


def test_a_head_is_read_in_a_time_that_grows_with_its_length_alone() -> None:
    for filler in (b" ", b"\t", b"a:", b"a: b\r\n"):
        assert read_plain(b"GET / HTTP/1.1\r\na:" + filler * 15_000 + b"\x00\r\n\r\n") is None


@given(st.binary(min_size=1, max_size=40), st.lists(st.integers(1, 9), max_size=12))
def test_a_body_may_come_in_any_pieces(body: bytes, cuts: list[int]) -> None:
    exchange = PlainExchange(len(body), b"")
    coming, read = body + b"GET", b""
    for cut in [*cuts, len(coming)]:
        exchange.receive_data(coming[:cut])
        coming = coming[cut:]
        while isinstance(event := exchange.next_event(), h11.Data):
            read += event.data
    assert (read, exchange.rest) == (body, b"GET" if not coming else exchange.rest)
    assert exchange.their_state is h11.DONE
    assert exchange.next_event() is h11.PAUSED


@given(st.sampled_from([200, 204, 304, 404, 503]), st.lists(st.binary(max_size=30), max_size=5), st.booleans())
def test_answers_are_such_as_h11_reads(status: int, pieces: list[bytes], told: bool) -> None:
    bodiless = status in {204, 304}
    pieces = [] if bodiless else pieces
    fields = [(b"content-type", b"text/plain"), (b"x-empty", b"")]
    if told and not bodiless:
        fields.append((b"content-length", b"%d" % sum(map(len, pieces))))
    exchange = PlainExchange(0, b"")
    sent = exchange.head(status, fields) + b"".join(map(exchange.piece, pieces)) + exchange.end()
    assert exchange.our_state is h11.DONE
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(sent)
    response, body = client.next_event(), b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(response, h11.Response)
    assert isinstance(event, h11.EndOfMessage)
    assert (response.status_code, body) == (status, b"".join(pieces))
    assert set(fields) <= set(response.headers)
    assert client.trailing_data[0] == b""


def test_an_answer_is_as_long_as_it_says() -> None:
    for pieces in ([b"abc", b"d"], [b"ab"]):
        exchange = PlainExchange(0, b"")
        exchange.head(200, [(b"content-length", b"3")])
        with pytest.raises(h11.LocalProtocolError, match=r"longer|shorter"):
            for piece in pieces:
                exchange.piece(piece)
            exchange.end()
        assert exchange.our_state is h11.ERROR


def test_an_answer_comes_in_its_order() -> None:
    for steps in (lambda x: x.piece(b"a"), lambda x: x.end(), lambda x: (x.head(200, []), x.head(200, []))):
        with pytest.raises(h11.LocalProtocolError):
            steps(PlainExchange(0, b""))
    with pytest.raises(h11.LocalProtocolError, match="framing"):
        PlainExchange(0, b"").head(200, [(b"transfer-encoding", b"gzip")])
    with pytest.raises(h11.LocalProtocolError, match="number"):
        PlainExchange(0, b"").head(200, [(b"content-length", b"+1")])


def test_an_answer_that_closes_the_connection_is_the_last() -> None:
    exchange = PlainExchange(0, b"")
    assert exchange.next_event() is not None
    exchange.head(200, [(b"connection", b"close"), (b"content-length", b"0")])
    exchange.end()
    assert exchange.our_state is h11.MUST_CLOSE


PLAIN = head(HOST, b"Content-Length: 3") + b"one"
CHUNKED = head(HOST, b"Transfer-Encoding: chunked") + b"3\r\ntwo\r\n0\r\n\r\n"


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("order", [[PLAIN, CHUNKED, PLAIN], [CHUNKED, PLAIN, PLAIN], [PLAIN, PLAIN, CHUNKED, CHUNKED]])
async def test_one_connection_carries_plain_requests_and_others(order: list[bytes], at_once: bool) -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": body})

    async with listening(echo) as (_, port), connected(port) as (reader, writer):
        if at_once:
            writer.write(b"".join(order))
        for request in order:
            if not at_once:
                writer.write(request)
            expected = b"one" if request is PLAIN else b"two"
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n" + expected), 5)
            assert answer.startswith(b"HTTP/1.1 200 ")
