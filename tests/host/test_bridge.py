"""A session is relayed until somebody closes, and both ends learn of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from llmgate.config.model import GatewayConfig, SessionConfig
from llmgate.host.bridge import Bridge
from llmgate.host.errors import ClientLeftError
from llmgate.host.upgrades import Upgrade
from llmgate.spec import ProviderConnectionError, ProviderProtocolError, SocketClose, SocketMessage
from llmgate.testing.sockets import ScriptedSocket


class Session(ScriptedSocket):
    """The provider's end, with the little that a pipeline's session has beside."""

    def __init__(self, *steps: Any, refuses: bytes | None = None, **options: Any) -> None:
        super().__init__(*steps, **options)
        self.noted: list[tuple[str, SocketClose]] = []
        self.refuses = refuses
        self.lapses = asyncio.Event()

    async def send(self, message: SocketMessage) -> SocketMessage | None:  # type: ignore[override]
        if message.data == self.refuses:
            return SocketMessage(b"refused")
        await super().send(message)
        return None

    async def lapsed(self) -> SocketClose:
        await self.lapses.wait()
        return SocketClose(1008, "no longer good")

    def note_end(self, who: str, end: SocketClose) -> None:
        self.noted.append((who, end))


class Client:
    """An ASGI server's two channels."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.heard: list[str] = []

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        self.heard.append(message["text"])


def bridge(client: Client, session: Session, **limits: float) -> tuple[Bridge, Any]:
    config = GatewayConfig(sessions=SessionConfig(**limits))
    call: Any = SimpleNamespace(
        desk=SimpleNamespace(config=config, settings=config.server), reply=SimpleNamespace(sent=0)
    )
    upgrade = Upgrade({"type": "websocket"}, client.receive, client.send)
    return Bridge(call, upgrade, session), call  # type: ignore[arg-type]


def text(words: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": words}


async def test_the_provider_closes():
    client, session = Client(), Session("one", "two", SocketClose(4000, "x"))
    one, call = bridge(client, session)
    assert await one.run(SocketMessage(b"first")) == SocketClose(4000, "x")
    assert client.heard == ["one", "two"]
    assert call.reply.sent == 6
    assert session.noted == [("provider", SocketClose(4000, "x"))]
    assert session.ended == SocketClose(4000, "x")


async def test_a_session_ends_with_the_right_to_it():
    client, session = Client(), Session("one")
    one, _ = bridge(client, session)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.05)
    assert not running.done()
    session.lapses.set()
    assert await running == SocketClose(1008, "no longer good")
    assert session.noted == [("gateway", SocketClose(1008, "no longer good"))]
    assert session.ended == SocketClose(1008, "no longer good")


async def test_the_client_closes_after_all_that_it_has_said():
    client = Client(text("a"), text("no"), text("b"), {"type": "websocket.disconnect", "code": 1000})
    session = Session(refuses=b"no")
    one, _ = bridge(client, session)
    assert await one.run() is None
    assert [message.data for message in session.sent] == [b"a", b"b"]
    assert client.heard == ["refused"]
    assert session.ended == SocketClose(1000)
    assert session.noted[0][0] == "client"


async def test_a_client_that_leaves_without_a_word_is_said_so():
    one, _ = bridge(Client({"type": "websocket.disconnect", "code": 1006}), Session())
    with pytest.raises(ClientLeftError):
        await one.run()


async def test_a_provider_that_breaks_is_said_so():
    one, _ = bridge(Client(), Session(ProviderConnectionError("gone")))
    with pytest.raises(ProviderConnectionError):
        await one.run()


async def test_text_that_is_none_never_reaches_the_client():
    session = Session(SocketMessage(b"\xff"))
    one, _ = bridge(Client(), session)
    with pytest.raises(ProviderProtocolError, match="UTF-8"):
        await one.run()
    assert session.ended == SocketClose(1007)


@pytest.mark.parametrize(("limits", "words"), [({"idle": 0.02}, "nobody"), ({"total": 0.02}, "lasted")])
async def test_time_is_limited(limits, words):
    session = Session()
    one, _ = bridge(Client(), session, **limits)
    end = await one.run()
    assert end is not None
    assert end.code == 1001
    assert words in end.reason
    assert session.noted == [("gateway", end)]


async def test_being_cancelled_leaves_no_task():
    before = asyncio.all_tasks()
    one, _ = bridge(Client(), Session())
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == before
