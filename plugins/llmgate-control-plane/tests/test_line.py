"""The connection: opened again for ever, in no rhythm, and given up when nothing can come of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from aiohttp import web
from llmgate_control_plane import ControlPlane, ControlPlaneConfig
from llmgate_control_plane.config import ControlPlaneConfig as Config
from llmgate_control_plane.feed import KeyFeed
from llmgate_control_plane.keys import KeyTable
from llmgate_control_plane.line import Line
from plane_bench import CREDENTIAL, KEY, OTHER, answer, full, listed, make_context, saying, until, until_told

from llmgate.spec import ProviderConnectionError
from llmgate.testing import FakeClock, ScriptedTransport
from llmgate.testing.upstream_sockets import FakeSocketUpstream


class TestPauses:
    async def pauses(self, seed: int, count: int, **config: float) -> list[float]:
        """How long one gateway waits before each attempt at a control plane that is not there."""
        clock = FakeClock(seed=seed)
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == count:
                await asyncio.Event().wait()

        clock.sleep = sleep  # type: ignore[method-assign]
        transport = ScriptedTransport([ProviderConnectionError("refused")] * (count + 1))
        table = KeyTable()
        line = Line(
            Config(**config),  # type: ignore[arg-type]
            make_context(Path(), clock=clock, transport=transport),
            None,
            KeyFeed(table, 10),
            lambda: None,
        )
        line.start()
        await until(lambda: len(slept) == count)
        await line.aclose()
        return slept

    async def test_they_grow_to_the_longest_and_never_end(self):
        found = await self.pauses(1, 2000, min_delay=1.0, max_delay=60.0, factor=2.0)
        assert all(0 < one <= min(60.0, 2.0**tried) for tried, one in enumerate(found[:10]))
        assert 25 < sum(found[10:]) / len(found[10:]) < 35, "any part of the longest, evenly"
        assert max(found) <= 60.0

    async def test_a_thousand_gateways_do_not_come_back_as_one(self):
        firsts = [await self.pauses(seed, 6, min_delay=1.0, max_delay=60.0) for seed in range(200)]
        for tried in (0, 5):
            found = sorted(one[tried] for one in firsts)
            longest = min(60.0, 2.0**tried)
            halves = [
                sum(low <= one < low + longest / 10 for one in found) for low in (0.0, longest * 0.45, longest * 0.9)
            ]
            assert all(5 <= count <= 45 for count in halves), (tried, halves)

    async def test_the_numbers_of_an_operator_hold(self):
        assert set(await self.pauses(3, 50, min_delay=0.05, max_delay=0.05)) == {0.05}


async def test_one_that_is_killed_and_comes_back_is_found_again(opener, plane):
    gone = asyncio.Event()

    async def play(one):
        await one.send(full(KEY))
        await gone.wait()
        one.reset()

    plane.play(play)
    for _ in range(5):
        plane.refuse(502)
    plane.play(saying(full(OTHER)))
    stage = await opener()
    assert await answer(stage, KEY) == "owner-1"
    gone.set()
    await until_told(stage, OTHER, "owner-1")
    assert await answer(stage, KEY) == "unknown key"


async def test_one_that_accepts_and_says_nothing_is_given_up(opener, plane):
    plane.play(saying())
    plane.play(saying(full(KEY)))
    stage = await opener(timeout=0.3)
    await until_told(stage, KEY, "owner-1")
    assert len(plane.sockets) == 2


async def test_one_that_answers_no_ping_is_given_up(opener, plane):
    async def play(one):
        await one.send(full(KEY))
        one.pause()
        await asyncio.Event().wait()

    plane.play(play)
    plane.play(saying(full(OTHER)))
    stage = await opener(heartbeat=0.2)
    assert await answer(stage, KEY) == "owner-1"
    await until_told(stage, OTHER, "owner-1", 5)


async def test_one_whose_handshake_hangs_is_given_up(opener, plane):
    plane.before_answer = asyncio.Event()
    plane.play(saying(full(KEY)))
    stage = await opener(timeout=0.2, open_timeout=1.0)
    assert await answer(stage, KEY) == "control_plane_unavailable"
    plane.before_answer.set()
    plane.play(saying(full(KEY)))
    plane.play(saying(full(KEY)))
    for _ in range(10):
        plane.play(saying(full(KEY)))
    await until_told(stage, KEY, "owner-1")


async def test_a_port_that_takes_connections_and_is_silent_is_given_up(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        context = make_context(tmp_path)
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        stage = ControlPlane(ControlPlaneConfig(url=url, timeout=0.2, open_timeout=0.8, min_delay=0.05, max_delay=0.05))
        await stage.open(context)
        assert await answer(stage, KEY) == "control_plane_unavailable"
        listening.setblocking(False)
        taken = [listening.accept()[0] for _ in range(2)]
        for one in taken:
            one.close()
        await stage.aclose()
        await context.transport.aclose()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("garbage", "not JSON"),
        (b"\x00\xff\x00", "not JSON"),
        ('{"_type": "Update", "Config": {}}', "Update/Config"),
        ("x" * 70_000, "too large"),
        (
            '{"_type": "Error", "Unauthorized": {"message": "who are you"}}',
            "credential (who are you)",
        ),
    ],
)
async def test_garbage_ends_the_connection_and_changes_no_key(opener, plane, caplog, said, words):
    plane.play(saying(full(KEY), said))
    plane.play(saying(full(KEY, OTHER)))
    stage = await opener(max_message_bytes=64 * 1024)
    await until_told(stage, OTHER, "owner-1")
    assert await answer(stage, KEY) == "owner-1"
    assert words in caplog.text


async def test_a_flood_of_garbage_is_no_flood_of_attempts_and_lines(opener, plane, caplog):
    for _ in range(500):
        plane.play(saying(full(KEY), "garbage"))
    await opener(min_delay=0.1, max_delay=0.4)
    await asyncio.sleep(1.5)
    assert len(plane.sockets) < 60
    assert caplog.text.count("no connection to the control plane") < 30


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_named_and_not_shown(opener, plane, caplog, status):
    plane.refuse(status, {"error": "no"})
    plane.play(saying(full(KEY)))
    stage = await opener()
    await until_told(stage, KEY, "owner-1")
    assert f"refuses the gateway's credential ({status}): look at env:HELICONE_CONTROL_PLANE_API_KEY" in caplog.text
    assert CREDENTIAL not in caplog.text


async def test_a_redirect_is_not_followed(opener, plane, caplog):
    async with FakeSocketUpstream() as elsewhere:
        plane.refuse(302, headers={"location": f"{elsewhere.url}/"})
        plane.play(saying(full(KEY)))
        stage = await opener()
        await until_told(stage, KEY, "owner-1")
        assert elsewhere.sockets == []
    assert "it answered 302 and opened no WebSocket" in caplog.text


async def test_a_large_state_is_read_beside_the_requests(opener, plane):
    keys = [f"key-{number}" for number in range(20_000)]
    plane.play(saying(full(*keys)))
    stage = await opener()
    assert await answer(stage, "key-19999") == "owner-1"
    plane.sockets[0].web._req.transport.abort()


async def test_two_gateways_one_of_which_is_cut_off(opener, plane):
    """The one that still hears follows; the other serves what it knows, and catches up."""
    revoke, heal = asyncio.Event(), asyncio.Event()

    async def hears(one):
        await one.send(full(KEY, OTHER))
        await revoke.wait()
        await one.send(listed(OTHER))

    async def cut(one):
        await one.send(full(KEY, OTHER))
        await revoke.wait()
        one.pause()
        await heal.wait()

    plane.play(hears)
    near = await opener(snapshot="near")
    plane.play(cut)
    far = await opener(snapshot="far", heartbeat=2.0)
    revoke.set()
    await until_told(near, KEY, "unknown key", 1.0)
    assert await answer(far, KEY) == "owner-1"
    plane.play(saying(full(OTHER)))
    heal.set()
    await until_told(far, KEY, "unknown key")
    assert await answer(far, OTHER) == "owner-1"


class TestTls:
    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Path:
        """``name.pem`` and ``name.key`` for three servers: ours, another's, and one of yesterday."""
        for name, host, days in (("right", "127.0.0.1", 30), ("other", "192.0.2.1", 30)):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-days", str(days), "-subj", "/CN=plane", "-addext", f"subjectAltName=IP:{host}",
                 "-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")],
                check=True, capture_output=True,
            )  # fmt: skip
        return tmp_path

    async def serve(self, certificates: Path, name: str, seen: list[str]) -> tuple[web.AppRunner, int]:
        async def handle(request: web.Request) -> web.WebSocketResponse:
            seen.append(request.headers["authorization"])
            one = web.WebSocketResponse()
            await one.prepare(request)
            await one.send_str(full(KEY))
            await one.receive()
            return one

        application = web.Application()
        application.router.add_get("/", handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return runner, runner.addresses[0][1]

    @pytest.mark.parametrize(
        ("served", "trusted", "let_in"),
        [("right", "right", True), ("right", None, False), ("right", "other", False), ("other", "other", False)],
    )
    async def test_only_the_right_certificate_is_told_the_credential(
        self, certificates, served, trusted, let_in, caplog
    ):
        seen: list[str] = []
        runner, port = await self.serve(certificates, served, seen)
        context = make_context(certificates)
        config = ControlPlaneConfig(
            url=f"wss://127.0.0.1:{port}/",
            ca_file=None if trusted is None else Path(f"{trusted}.pem"),
            open_timeout=2.0 if let_in else 0.5,
            min_delay=0.05,
            max_delay=0.05,
        )
        stage = ControlPlane(config)
        await stage.open(context)
        assert await answer(stage, KEY) == ("owner-1" if let_in else "control_plane_unavailable")
        assert seen == ([f"Bearer {CREDENTIAL}"] if let_in else [])
        assert let_in or "certificate" in caplog.text.lower() or "tls" in caplog.text.lower()
        await stage.aclose()
        await context.transport.aclose()
        await runner.cleanup()


async def test_it_closes_in_order_and_leaves_no_task(opener, plane):
    plane.play(saying(full(KEY)))
    before = asyncio.all_tasks()
    stage = await opener()
    await stage.aclose()
    await until(lambda: plane.sockets[0].close_code == 1001)
    await until(lambda: not [one for one in asyncio.all_tasks() - before if "auth[0]" in one.get_name()])
