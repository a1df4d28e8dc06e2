from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from llmgate.call_log.delivery import Delivery, Line, Reply, Verdict

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CLOSED = OK.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n")


class Server:
    """Answers each request on each connection as it is told, and keeps what came."""

    def __init__(self, listening: socket.socket, connections: list[list[bytes]]) -> None:
        self.port: int = listening.getsockname()[1]
        self.requests: list[bytes] = []
        self._listening, self._connections = listening, connections

    def run(self) -> None:
        for answers in self._connections:
            connection, _ = self._listening.accept()
            with connection:
                for answer in answers:
                    self.requests.append(_request(connection))
                    connection.sendall(answer)


def _request(connection: socket.socket) -> bytes:
    came = b""
    while not came.endswith(b"{1}"):
        piece = connection.recv(65536)
        assert piece, came
        came += piece
    return came


@contextmanager
def server(*connections: list[bytes]) -> Iterator[Server]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        one = Server(listening, list(connections))
        thread = threading.Thread(target=one.run)
        thread.start()
        try:
            yield one
        finally:
            thread.join(10)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.TAKEN),
        (204, Verdict.TAKEN),
        (301, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (413, Verdict.REFUSED),
        (408, Verdict.LATER),
        (429, Verdict.LATER),
        (500, Verdict.BROKEN),
        (501, Verdict.BROKEN),
        (502, Verdict.LATER),
        (503, Verdict.LATER),
        (504, Verdict.LATER),
    ],
)
def test_an_answer_says_what_becomes_of_a_call(status: int, verdict: Verdict):
    reply = Reply.of(status, None, b"why" * 1000)
    assert reply.verdict is verdict
    assert len(reply.says) < 400


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("9" * 50, 999999), ("-1", 0), ("soon", 0), (None, 0)])
def test_the_wait_that_a_gateway_asks_for_is_read(said: str | None, seconds: float):
    assert Reply.of(503, said, b"").retry_after == seconds


def test_a_connection_is_kept_and_a_call_is_told_with_the_key():
    with server([OK, OK]) as one:
        line = Line(f"http://127.0.0.1:{one.port}/llm/", "secret", Delivery())
        assert [line.send(b"{1}").verdict for _ in range(2)] == [Verdict.TAKEN] * 2
        line.close()
    assert len(one.requests) == 2
    assert one.requests[0].startswith(b"POST /llm/v1/log/request HTTP/1.1\r\n")
    assert b"authorization: Bearer secret\r\n" in one.requests[0]


@pytest.mark.parametrize("first", [[OK], [CLOSED]])
def test_a_connection_that_was_closed_meanwhile_is_made_anew(first: list[bytes]):
    with server(first, [OK]) as one:
        line = Line(f"http://127.0.0.1:{one.port}", None, Delivery())
        assert [line.send(b"{1}").verdict for _ in range(2)] == [Verdict.TAKEN] * 2
        line.close()
    assert b"authorization" not in one.requests[0]


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 20"])
def test_a_connection_that_fails_is_a_reply(answer: bytes):
    with server([answer]) as one:
        line = Line(f"http://127.0.0.1:{one.port}", None, Delivery())
        assert line.send(b"{1}").verdict is Verdict.LATER
        line.close()


def test_where_nobody_listens_it_is_told_later():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert Line(f"http://127.0.0.1:{port}", None, Delivery()).send(b"{1}").verdict is Verdict.LATER


def test_an_answer_without_an_end_is_read_no_further():
    endless = b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 70_000
    with server([endless], [OK]) as one:
        line = Line(f"http://127.0.0.1:{one.port}", None, Delivery())
        assert [line.send(b"{1}").verdict for _ in range(2)] == [Verdict.TAKEN] * 2
        line.close()


@pytest.mark.parametrize(
    "url",
    ["gateway", "ftp://gateway", "http://", "http://a:b@gateway", "http://gateway?x=1", "http://g:99999", "http://a b"],
)
def test_an_address_that_is_none_is_refused_at_once(url: str):
    with pytest.raises(ValueError, match="address of a gateway"):
        Line(url, None, Delivery())


@pytest.mark.parametrize("key", ["", "a\r\nb", "schlüssel"])
def test_a_key_that_is_none_is_refused_and_not_shown(key: str):
    with pytest.raises(ValueError, match="the key must be") as caught:
        Line("http://gateway", key, Delivery())
    assert not key or key not in str(caught.value)


def test_bounds_must_leave_room():
    with pytest.raises(ValueError, match="max_calls"):
        Delivery(max_calls=0)
    with pytest.raises(ValueError, match="timeout"):
        Delivery(timeout=float("nan"))
