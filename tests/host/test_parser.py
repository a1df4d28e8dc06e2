"""What asks for a WebSocket, and what a connection reads once it is one; strictness is tested through connections."""

from __future__ import annotations

import h11
import pytest
from hypercorn.protocol.events import Data

from llmgate.host.parser import FramesOnly, StrictParser

ASKING = {"Host": "h", "Upgrade": "websocket", "Connection": "Upgrade"}


def asks(headers: dict[str, str], line: str = "GET /x HTTP/1.1") -> bool:
    parser = StrictParser(h11.SERVER)
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    parser.receive_data(f"{line}\r\n{fields}\r\n".encode())
    request = parser.next_event()
    assert isinstance(request, h11.Request)
    assert b"upgrade" not in dict(request.headers)
    return parser.asks_for_socket


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"Upgrade": "WebSocket", "Connection": "keep-alive, UPGRADE"}, True),
        ({"Content-Length": "0"}, True),
        ({"Connection": "keep-alive"}, False),
        ({"Upgrade": "h2c"}, False),
        ({"Content-Length": "2"}, False),
        ({"Transfer-Encoding": "chunked"}, False),
    ],
)
def test_a_websocket_is_asked_for_by_upgrade_and_connection_and_without_a_body(changes, expected):
    assert asks({**ASKING, **changes}) is expected


@pytest.mark.parametrize("line", ["POST /x HTTP/1.1", "GET /x HTTP/1.0"])
def test_another_method_or_version_cannot_ask(line):
    assert not asks(ASKING, line)


def test_the_next_request_is_judged_for_itself():
    parser = StrictParser(h11.SERVER)
    parser.asks_for_socket = True
    parser.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    parser.next_event()
    assert not parser.asks_for_socket


def test_frames_are_handed_on_as_they_come():
    frames = FramesOnly(b"ab")
    frames.receive_data(b"cd")
    event = frames.next_event()
    assert isinstance(event, Data)
    assert event.data == b"abcd"
    assert frames.next_event() is h11.NEED_DATA
    with pytest.raises(h11.LocalProtocolError):
        frames.send(h11.EndOfMessage())
