"""The control plane itself, served in process: gateways, changes, slow ones, strangers, and the loss of its keys."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from llmgate_control_plane import ControlPlane, ControlPlaneConfig
from llmgate_control_plane.server import ledger as ledger_module
from llmgate_control_plane.server.app import PATH, Limits, PlaneApp
from llmgate_control_plane.server.gateways import Gateways, GatewaysFile, new_credential
from llmgate_control_plane.server.ledger import Ledger
from plane_bench import KEY, OTHER, PEPPER, answer, evolved, issued, make_context, name_of, until, until_told

from llmgate.host.beside import serve_beside
from llmgate.spec import (
    ConfigError,
    GatewayError,
    KeyPage,
    ProviderRequest,
    ProviderResponse,
    ProviderSocket,
    SecretRef,
    Serving,
    SharedKey,
    SocketClose,
    SocketMessage,
    SocketOptions,
    SystemClock,
    Timeouts,
)
from llmgate.wire.transport import AiohttpTransport

CREDENTIAL = "gw-lg-" + "0123456789" * 4 + "abc"


class Book:
    """Keys in memory; implements ``spec.KeyBook``."""

    def __init__(self, *keys: SharedKey) -> None:
        self.revision = 1
        self.keys = {key.id: (1, key) for key in keys}
        self.down = False
        self.page = 2
        self._changed = asyncio.Event()

    async def read_keys(self, after: int | None = None, cursor: str | None = None) -> KeyPage:
        await asyncio.sleep(0)
        if self.down:
            raise GatewayError("the book is shut")
        found = sorted(
            (key for revision, key in self.keys.values() if (key.principal if after is None else revision > after)),
            key=lambda key: key.id,
        )
        found = [key for key in found if cursor is None or key.id > cursor]
        more = found[self.page - 1].id if len(found) > self.page else None
        return KeyPage(self.revision, found[: self.page], more)

    async def await_change(self, revision: int) -> int:
        while self.revision == revision and not self.down:
            await self._changed.wait()
        if self.down:
            raise GatewayError("the book is shut")
        return self.revision

    def put(self, *keys: SharedKey) -> None:
        self.revision += 1
        for key in keys:
            self.keys[key.id] = (self.revision, key)
        self.wake()

    def revoke(self, key: str) -> None:
        self.put(evolved(issued(key), principal=None))

    def wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Plane:
    """A control plane that runs, and gateways' ends at it."""

    def __init__(self, directory: Path, book: Book, limits: Limits) -> None:
        self.directory = directory
        self.book = book
        self.file = GatewaysFile(directory / "gateways.json")
        self.file.add("paris", CREDENTIAL, 0.0)
        self.app = PlaneApp(self.file, SystemClock(), limits)
        self.url = ""
        self.transport = AiohttpTransport()
        self._stack = contextlib.AsyncExitStack()

    async def start(self, port: int = 0) -> None:
        self.app.look()
        ledger = Ledger(self.book, SystemClock(), 0.2, self.app.tell)
        await ledger.fill()
        self.app.ledger = ledger
        stop, started = asyncio.Event(), asyncio.Event()

        def tell(url: str) -> None:
            self.url = url
            started.set()

        serving = Serving("127.0.0.1", port, started=tell, ending=self.app.stop, stall=0.3)
        tasks = [
            asyncio.create_task(serve_beside(self.app, serving, stop)),
            asyncio.create_task(self.app.watch()),
            asyncio.create_task(ledger.follow()),
        ]
        await asyncio.wait([asyncio.create_task(started.wait()), tasks[0]], return_when=asyncio.FIRST_COMPLETED)

        async def end() -> None:
            stop.set()
            await tasks[0]
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)

        self._stack.push_async_callback(end)

    async def aclose(self) -> None:
        await self._stack.aclose()

    async def gateway(self, name: str = "a", credential: str = CREDENTIAL, **config: Any) -> ControlPlane:
        secrets = {"env:HELICONE_CONTROL_PLANE_API_KEY": credential, "env:LLMGATE_KEY_PEPPER": PEPPER}
        context = make_context(self.directory, secrets=secrets)
        hasty = {"min_delay": 0.05, "max_delay": 0.1, "snapshot": name, "open_timeout": 5.0}
        url = self.url.replace("http", "ws", 1) + PATH
        pepper = SecretRef("env", "LLMGATE_KEY_PEPPER")
        stage = ControlPlane(ControlPlaneConfig(**{"url": url, "pepper": pepper, **hasty, **config}))
        self._stack.push_async_callback(context.transport.aclose)
        self._stack.push_async_callback(stage.aclose)
        await stage.open(context)
        return stage

    async def knock(self, credential: str = CREDENTIAL, path: str = PATH, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in ({"llmgate_key_sync": "1"} | headers).items()}
        request = ProviderRequest(
            "GET",
            self.url + path,
            {"authorization": f"Bearer {credential}", **named},
            origin=self.url,
            pool=path,
            timeouts=Timeouts(connect=5, first_byte=5, idle=5),
        )
        found = await self.transport.open_socket(request, SocketOptions(heartbeat=5))
        if not isinstance(found, ProviderResponse):
            self._stack.push_async_callback(self._hang_up, found)
        return found

    async def _hang_up(self, talking: ProviderSocket) -> None:
        with contextlib.suppress(GatewayError):
            await talking.close(SocketClose(1000))


@pytest.fixture
def limits() -> Limits:
    return Limits(connections=20, each=8, waiting=8, patience=0.5)


@pytest.fixture
async def running(tmp_path: Path, limits: Limits) -> AsyncIterator[Plane]:
    one = Plane(tmp_path, Book(issued(KEY), *(issued(f"key-{number}") for number in range(7))), limits)
    await one.start()
    yield one
    await one.transport.aclose()
    await one.aclose()


async def test_keys_are_told_in_parts_and_changes_as_they_come(running, monkeypatch):
    monkeypatch.setattr(ledger_module, "PART", 3)
    near, far = await running.gateway("near"), await running.gateway("far")
    for stage in (near, far):
        assert [await answer(stage, key) for key in (KEY, "key-6", OTHER)] == [
            name_of(KEY),
            name_of("key-6"),
            "unknown key",
        ]
    running.book.put(issued(OTHER))
    running.book.revoke(KEY)
    for stage in (near, far):
        await until_told(stage, KEY, "unknown key", 1.0)
        await until_told(stage, OTHER, name_of(OTHER), 1.0)
        assert await answer(stage, "key-6") == name_of("key-6")


async def test_many_changes_at_once_and_those_noticed_late_arrive_once(running):
    stage = await running.gateway()
    for number in range(50):
        running.book.put(issued(f"more-{number}"))
        if number % 7 == 0:
            await asyncio.sleep(0)
    for number in range(0, 50, 2):
        running.book.revoke(f"more-{number}")
    await until_told(stage, "more-49", name_of("more-49"))
    await until_told(stage, "more-48", "unknown key")
    for number in range(50):
        assert (await answer(stage, f"more-{number}") == "unknown key") == (number % 2 == 0)


async def test_a_book_that_goes_back_is_told_anew(running):
    stage = await running.gateway()
    running.book.put(issued(OTHER))
    await until_told(stage, OTHER, name_of(OTHER))
    running.book.keys = {name_of(KEY): (1, issued(KEY))}
    running.book.revision = 1
    running.book.wake()
    await until_told(stage, OTHER, "unknown key")
    assert await answer(stage, KEY) == name_of(KEY)


async def test_without_its_book_it_keeps_connections_and_says_so(running, caplog):
    stage = await running.gateway(stale_for=0.8)
    running.book.down = True
    running.book.wake()
    health = ProviderRequest("GET", f"{running.url}/health", {}, origin=running.url, pool="h")
    await until(lambda: not running.app.ledger.is_fresh)
    assert (await running.transport.send(health)).body == b'{"status":"degraded"}'
    assert await answer(stage, KEY) == name_of(KEY)
    late = await running.gateway("late")
    assert await answer(late, KEY) == name_of(KEY), "whoever connects meanwhile is told what is known"
    await until_told(stage, KEY, "control_plane_unavailable")
    assert caplog.text.count("gateways are told so") == 1
    running.book.down = False
    running.book.wake()
    await until_told(stage, KEY, name_of(KEY))
    assert (await running.transport.send(health)).body == b'{"status":"ok"}'


async def test_an_address_that_is_taken_is_named(running):
    port = int(running.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1"):
        await serve_beside(running.app, Serving("127.0.0.1", port), asyncio.Event())


class TestGateways:
    @pytest.mark.parametrize("credential", ["", "x", "gw-lg-" + "a" * 43, CREDENTIAL[:-1], CREDENTIAL + "a", "é"])
    async def test_strangers_are_told_401_before_anything_is_accepted(self, running, credential):
        found = await running.knock(credential)
        assert isinstance(found, ProviderResponse)
        assert found.status == 401
        assert CREDENTIAL.encode() not in found.body

    async def test_others_are_told_what_is_wrong(self, running):
        assert (await running.knock(path="/elsewhere")).status == 404
        assert (await running.knock(llmgate_key_sync="1", authorization=f"Basic {CREDENTIAL}")).status == 401
        for path, status in ((PATH, 426), ("/", 404), ("/health", 200)):
            request = ProviderRequest("GET", f"{running.url}{path}", {}, origin=running.url, pool="p")
            assert (await running.transport.send(request)).status == status

    async def test_one_that_is_added_comes_in_and_one_that_is_removed_goes(self, running):
        credential = new_credential()
        stage = await running.gateway("rome", credential, open_timeout=0.3)
        assert await answer(stage, KEY) == "control_plane_unavailable"
        running.file.add("rome", credential, 0.0)
        await until_told(stage, KEY, name_of(KEY))
        kept = await running.gateway("paris")
        running.file.remove("rome")
        await until(lambda: {peer.gateway.name for peer in running.app._peers} == {"paris"}, 2.0)
        assert await answer(kept, KEY) == name_of(KEY)
        assert (await running.knock(credential)).status == 401

    async def test_a_broken_file_sends_nobody_away(self, running, caplog):
        stage = await running.gateway()
        running.file.path.write_text("{")
        await until(lambda: "the gateways of before go on" in caplog.text)
        running.book.put(issued(OTHER))
        await until_told(stage, OTHER, name_of(OTHER))

    async def test_one_gateway_has_so_many_connections_and_all_have_so_many(self, running):
        sockets = [await running.knock() for _ in range(8)]
        assert not any(isinstance(one, ProviderResponse) for one in sockets)
        assert (await running.knock()).status == 503
        await sockets[0].close(SocketClose(1000))
        await until(lambda: len(running.app._peers) == 7)
        again = await running.knock()
        assert not isinstance(again, ProviderResponse)

    async def test_one_that_does_not_read_is_cut_and_slows_nobody(self, running):
        stage = await running.gateway()
        host, port = running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(
            f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {CREDENTIAL}\r\nllmgate-key-sync: 1\r\n\r\n".encode()
        )
        assert b"101" in await reader.readline()
        await until(lambda: len(running.app._peers) == 2)
        running.book.page = 1000
        for number in range(8):
            running.book.put(*(issued(f"k{number}-{one}", id=f"{number}-{one}") for one in range(400)))
            await until_told(stage, f"k{number}-399", name_of(f"k{number}-399"), 20.0)
        await until(lambda: len(running.app._peers) == 1, 15.0)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def test_one_that_talks_is_sent_away(self, running):
        talking = await running.knock()
        with contextlib.suppress(GatewayError):
            for _ in range(150):
                await talking.send(SocketMessage(b'{"_type":"Heartbeat"}'))
        found: Any = None
        while not isinstance(found, SocketClose):
            found = await talking.receive()
        assert found.code == 1008

    async def test_a_message_that_is_too_large_ends_the_connection(self, running):
        talking = await running.knock()
        with contextlib.suppress(GatewayError):
            await talking.send(SocketMessage(b"x" * 200_000))
        await until(lambda: not running.app._peers)
        await talking.close(SocketClose(1000))


class TestFile:
    def test_it_holds_no_credential_and_is_its_owners(self, tmp_path: Path):
        file = GatewaysFile(tmp_path / "g.json")
        assert file.read().known == ()
        file.add("paris", CREDENTIAL, 0.0)
        assert CREDENTIAL.encode() not in file.path.read_bytes()
        assert file.path.stat().st_mode & 0o777 == 0o600
        found = file.read().find(CREDENTIAL)
        assert found is not None
        assert found.name == "paris"
        assert file.read().find("\udc80") is None
        assert CREDENTIAL not in repr(file.read().known)

    @pytest.mark.parametrize("name", ["", "-x", "a b", "a" * 65, "a\n", "../x"])
    def test_names_are_plain(self, tmp_path: Path, name: str):
        with pytest.raises(ConfigError, match="a gateway's name"):
            GatewaysFile(tmp_path / "g.json").add(name, CREDENTIAL, 0.0)

    def test_names_are_used_once(self, tmp_path: Path):
        file = GatewaysFile(tmp_path / "g.json")
        file.add("paris", CREDENTIAL, 0.0)
        with pytest.raises(ConfigError, match="already"):
            file.add("paris", new_credential(), 0.0)
        with pytest.raises(ConfigError, match="no gateway rome"):
            file.remove("rome")
        file.remove("paris")
        assert file.read().known == Gateways().known

    @pytest.mark.parametrize(
        "text", ["", "[]", '{"gateways": [{}]}', '{"gateways": [{"name": "a", "hash": "x", "added": ""}]}']
    )
    def test_garbage_is_named(self, tmp_path: Path, text: str):
        (tmp_path / "g.json").write_text(text)
        with pytest.raises(ConfigError, match="is no list of gateways"):
            GatewaysFile(tmp_path / "g.json").read()

    def test_a_directory_that_cannot_be_written_is_named(self, tmp_path: Path):
        with pytest.raises(ConfigError, match="cannot be made"):
            GatewaysFile(tmp_path / "none" / "g.json").add("a", CREDENTIAL, 0.0)
