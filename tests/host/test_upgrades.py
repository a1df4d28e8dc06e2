"""The client's end of a WebSocket under any ASGI server: refused as HTTP, accepted, spoken over, closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmgate.host.errors import ClientLeftError, RefusedError
from llmgate.host.upgrades import Upgrade, check_handshake, close_of
from llmgate.spec import (
    NO_STATUS,
    BudgetExceededError,
    GatewayClosedError,
    GatewayError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    RateLimitError,
    SocketClose,
    SocketMessage,
)

HEADERS = {"sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


class Server:
    """An ASGI server that says what it is told and keeps what it hears."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.heard: list[dict[str, Any]] = []
        self.failure: BaseException | None = None
        self.stuck = False

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        if self.failure is not None:
            raise self.failure
        if self.stuck:
            await asyncio.Event().wait()
        self.heard.append(message)


def upgrade(server: Server, **scope: Any) -> Upgrade:
    return Upgrade({"type": "websocket", "path": "/x", **scope}, server.receive, server.send)


CONNECT = {"type": "websocket.connect"}


def test_it_looks_like_a_get():
    scope = upgrade(Server(), scheme="wss", extensions={}).as_request()
    assert (scope["type"], scope["method"], scope["scheme"], scope["query_string"]) == ("http", "GET", "https", b"")


async def test_the_body_is_empty_and_a_departure_is_a_departure():
    one = upgrade(Server(CONNECT, {"type": "websocket.disconnect", "code": 1006}))
    assert (await one.receive_request())["more_body"] is False
    assert await one.receive_request() == {"type": "http.disconnect"}


async def test_an_answer_goes_out_as_http_where_the_server_can_and_as_a_close_where_not():
    messages = [
        {"type": "http.response.start", "status": 401, "headers": []},
        {"type": "http.response.body", "body": b"x"},
    ]
    able, unable = Server(), Server()
    for message in messages:
        await upgrade(able, extensions={"websocket.http.response": {}}).send_response(message)
        await upgrade(unable).send_response(message)
    assert [message["type"] for message in able.heard] == [f"websocket.{message['type']}" for message in messages]
    assert able.heard[0]["status"] == 401
    assert unable.heard == [{"type": "websocket.close", "code": 1008}]


async def test_accepting_waits_for_the_client():
    server = Server(CONNECT)
    one = upgrade(server)
    await one.accept("realtime", [(b"a", b"b")])
    assert one.accepted
    assert server.heard == [{"type": "websocket.accept", "subprotocol": "realtime", "headers": [(b"a", b"b")]}]
    with pytest.raises(ClientLeftError):
        await upgrade(Server({"type": "websocket.disconnect"})).accept(None, [])


async def test_a_client_that_does_not_wait_to_be_accepted_is_noticed():
    one = upgrade(Server(CONNECT, {"type": "websocket.disconnect", "code": 1006}))
    async with asyncio.timeout(1):
        await one.departure()
    server = Server(CONNECT)
    two = upgrade(server)
    with pytest.raises(IndexError):  # the server has no more to say
        await two.departure()
    await two.accept(None, [])
    assert two.accepted


async def test_what_a_client_says_is_a_message_or_a_close_or_nothing_any_more():
    one = upgrade(
        Server(
            {"type": "websocket.receive", "text": "é"},
            {"type": "websocket.receive", "bytes": b"\xff", "text": None},
            {"type": "websocket.disconnect", "code": 4000, "reason": "r"},
            {"type": "websocket.disconnect"},
            {"type": "websocket.disconnect", "code": 1006},
        )
    )
    text, binary = await one.receive(), await one.receive()
    assert isinstance(text, SocketMessage)
    assert isinstance(binary, SocketMessage)
    assert (text.data, text.text, binary.data, binary.text) == ("é".encode(), True, b"\xff", False)
    assert await one.receive() == SocketClose(4000, "r")
    assert await one.receive() == SocketClose(NO_STATUS, "")
    with pytest.raises(ClientLeftError):
        await one.receive()


async def test_a_client_that_takes_nothing_or_is_gone_has_left():
    server = Server()
    one = upgrade(server)
    await one.send(SocketMessage(b"a"), 1)
    await one.send(SocketMessage(b"a", text=False), 1)
    assert server.heard == [{"type": "websocket.send", "text": "a"}, {"type": "websocket.send", "bytes": b"a"}]
    server.stuck = True
    with pytest.raises(ClientLeftError):
        await one.send(SocketMessage(b"a"), 0.01)
    server.failure = BrokenPipeError()
    with pytest.raises(ClientLeftError):
        await one.send(SocketMessage(b"a"), 1)


@pytest.mark.parametrize(("code", "said"), [(1000, 1000), (NO_STATUS, 1000), (1006, 1000), (1015, 1000), (4999, 4999)])
async def test_it_is_closed_once_with_a_code_that_may_be_sent(code, said):
    server = Server()
    one = upgrade(server)
    await one.close(SocketClose(code, "é" * 100))
    await one.close(SocketClose(1011))
    (message,) = server.heard
    assert message["code"] == said
    assert message["reason"] == "é" * 61


def test_subprotocols_that_carry_a_credential_or_say_who_pays_are_not_offered_on():
    offered = ["realtime", "openai-insecure-api-key.k", "openai-organization.o", "openai-project.p", "x"]
    assert upgrade(Server(), subprotocols=offered).offered == ("realtime", "x")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sec-websocket-version": "12"}, 426),
        ({"sec-websocket-version": "13, 13"}, 426),
        ({"sec-websocket-key": ""}, 400),
        ({"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=="}, 400),
        ({"sec-websocket-key": "é"}, 400),
    ],
)
def test_a_handshake_is_checked(changes, status):
    one = upgrade(Server())
    assert check_handshake(one, HEADERS) is one
    with pytest.raises(RefusedError) as caught:
        check_handshake(one, {**HEADERS, **changes})
    assert caught.value.http_status == status


def test_a_plain_request_is_told_what_is_served():
    with pytest.raises(RefusedError) as caught:
        check_handshake(None, {})
    assert caught.value.http_status == 426
    assert caught.value.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GatewayClosedError("x"), 1012),
        (RateLimitError("x"), 1013),
        (BudgetExceededError("x"), 1013),
        (ModelNotFoundError("x"), 1008),
        (PermissionDeniedError("x"), 1008),
        (ProviderConnectionError("x"), 1011),
        (GatewayError("x"), 1011),
    ],
)
def test_an_error_has_a_close_code(error, code):
    assert close_of(error) == SocketClose(code, "x")
