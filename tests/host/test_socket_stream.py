"""The server's end of a WebSocket, driven by hand: what the application hears, and what goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypercorn.config import Config
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from llmgate.host.socket_stream import SocketStream, Surroundings

HEADERS = [
    (b"host", b"h"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    (b"sec-websocket-protocol", b"realtime, x"),
]


class Rig:
    """A stream, its connection, and an application that a test plays."""

    def __init__(self, *, limit: int = 100, interval: float | None = None) -> None:
        config = Config()
        config.websocket_max_message_size = limit
        config.websocket_ping_interval = interval
        self.scope: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self.out: list[Event] = []
        self.switched: list[tuple[bytes, bytes]] | None = None
        self.aborted = asyncio.Event()
        self.say: Callable[[dict[str, Any] | None], Awaitable[None]]
        self.client = Connection(ConnectionType.CLIENT)
        self.room = asyncio.Event()
        self.room.set()
        self.stream = SocketStream(
            Surroundings(
                app=None,  # type: ignore[arg-type]
                config=config,
                tasks=self,
                spawn=asyncio.ensure_future,
                tls=True,
                client=("127.0.0.1", 1),
                server=None,
                send=self._sent,
                switch=self._switch,
                abort=self.aborted.set,
            )
        )

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Callable[[Any], Awaitable[None]]:
        self.scope, self.say = scope, send

        async def put(message: dict[str, Any]) -> None:
            self.heard.append(message)
            await self.room.wait()

        return put

    async def _sent(self, event: Event) -> None:
        self.out.append(event)

    async def _switch(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.switched = headers

    async def request(self) -> Rig:
        await self.stream.handle(Request(1, HEADERS, "1.1", "GET", b"/a%20b?c=d", {}))  # type: ignore[arg-type]
        return self

    async def accepted(self) -> Rig:
        await self.request()
        await self.say({"type": "websocket.accept", "subprotocol": "x", "headers": [(b"a", b"b")]})
        self.heard.clear()
        return self

    async def send(self, *events: Any) -> None:
        data = b"".join(self.client.send(event) for event in events)
        await self.stream.handle(Data(1, data))

    def came(self) -> list[Any]:
        """What the client has got since the last time."""
        for event in self.out:
            if isinstance(event, Data):
                self.client.receive_data(event.data)
        self.out.clear()
        return list(self.client.events())


async def test_the_application_is_told_what_is_asked():
    rig = await Rig().request()
    assert rig.heard == [{"type": "websocket.connect"}]
    assert {
        name: rig.scope[name] for name in ("type", "scheme", "path", "raw_path", "query_string", "subprotocols")
    } == {
        "type": "websocket",
        "scheme": "wss",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"c=d",
        "subprotocols": ["realtime", "x"],
    }


async def test_accepting_switches_with_the_answer_that_rfc_6455_gives_for_its_example_key():
    rig = await Rig().accepted()
    assert rig.switched == [
        (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        (b"sec-websocket-protocol", b"x"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"a", b"b"),
    ]


async def test_a_refusal_is_a_plain_answer():
    rig = await Rig().request()
    await rig.say({"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]})
    await rig.say({"type": "websocket.http.response.body", "body": b"no"})
    await rig.say(None)
    kinds = [type(event) for event in rig.out]
    assert kinds == [Response, Body, EndBody, StreamClosed]
    assert rig.out[0].status_code == 401


@pytest.mark.parametrize(("message", "status"), [({"type": "websocket.close", "code": 1008}, 403), (None, 500)])
async def test_an_application_that_says_nothing_better_refuses_with_a_status(message, status):
    rig = await Rig().request()
    await rig.say(message)
    assert isinstance(rig.out[0], Response)
    assert rig.out[0].status_code == status


async def test_messages_pass_whole_in_both_directions():
    rig = await Rig().accepted()
    await rig.send(TextMessage("h", message_finished=False), TextMessage("é"), BytesMessage(b"\xff"))
    assert rig.heard == [{"type": "websocket.receive", "text": "hé"}, {"type": "websocket.receive", "bytes": b"\xff"}]
    await rig.say({"type": "websocket.send", "text": "é"})
    await rig.say({"type": "websocket.send", "bytes": b"\xff"})
    assert [event.data for event in rig.came()] == ["é", b"\xff"]


async def test_of_many_pings_the_last_is_answered():
    rig = await Rig().accepted()
    await rig.send(*(Ping(b"%d" % number) for number in range(50)), TextMessage("x"))
    (pong,) = rig.came()
    assert isinstance(pong, Pong)
    assert pong.payload == b"49"


async def test_a_clients_close_is_answered_and_told():
    rig = await Rig().accepted()
    await rig.send(TextMessage("x"), CloseConnection(4000, "bye"))
    assert rig.heard[1:] == [{"type": "websocket.disconnect", "code": 4000, "reason": "bye"}]
    (close,) = rig.came()
    assert close.code == 4000
    await rig.say({"type": "websocket.send", "text": "too late"})
    await rig.say(None)
    assert [type(event) for event in rig.out] == [StreamClosed]


async def test_the_applications_close_is_said_once_and_what_comes_behind_it_ignored():
    rig = await Rig().accepted()
    await rig.say({"type": "websocket.close", "code": 1012, "reason": "later"})
    await rig.say(None)
    (close,) = rig.came()
    assert (close.code, close.reason) == (1012, "later")
    await rig.stream.handle(StreamClosed(1))
    assert [message["type"] for message in rig.heard] == ["websocket.disconnect"] * bool(rig.heard)


async def test_an_application_that_returns_without_a_word_is_an_internal_error():
    rig = await Rig().accepted()
    await rig.say(None)
    (close,) = rig.came()
    assert close.code == 1011


@pytest.mark.parametrize(
    "events",
    [
        [TextMessage("x" * 101)],
        [BytesMessage(b"x" * 101)],
        [TextMessage("é" * 51)],
        [TextMessage("x", message_finished=False)] * 102,
    ],
    ids=["text", "binary", "characters of two bytes", "fragments"],
)
async def test_a_message_too_large_closes(events):
    rig = await Rig().accepted()
    await rig.send(*events)
    (close,) = rig.came()
    assert close.code == 1009
    assert [message["type"] for message in rig.heard] == ["websocket.disconnect"]


async def test_a_connection_that_breaks_is_told_once():
    rig = await Rig().accepted()
    await rig.stream.handle(StreamClosed(1))
    await rig.stream.handle(StreamClosed(1))
    assert rig.heard == [{"type": "websocket.disconnect", "code": 1006, "reason": ""}]
    await rig.say({"type": "websocket.send", "text": "x"})
    assert rig.out == []


async def test_a_silent_client_is_pinged_and_then_cut():
    rig = await Rig(interval=0.02).accepted()
    async with asyncio.timeout(2):
        await rig.aborted.wait()
    assert [type(event) for event in rig.came()] == [Ping]


async def test_a_client_that_answers_lives_and_one_whose_bytes_wait_for_the_application_too():
    rig = await Rig(interval=1000).accepted()
    for _ in range(3):
        await rig.send(Pong())
        rig.stream._tick()
    rig.room.clear()
    waiting = asyncio.ensure_future(rig.send(TextMessage("x")))
    await asyncio.sleep(0)
    for _ in range(3):
        rig.stream._tick()
    assert not rig.aborted.is_set()
    rig.room.set()
    await waiting
    for _ in range(2):
        rig.stream._tick()
    assert rig.aborted.is_set()
    await rig.stream.handle(StreamClosed(1))
