"""The auth provider at a control plane on loopback: who is let in, what a change does, what becomes of an outage."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from llmgate_control_plane import ControlPlane, ControlPlaneConfig, ControlPlaneUnavailableError
from llmgate_control_plane.keys import written_key
from plane_bench import (
    CREDENTIAL,
    KEY,
    OTHER,
    SECRETS,
    answer,
    full,
    issued,
    listed,
    make_context,
    name_of,
    saying,
    until,
    until_told,
    update,
)

from llmgate.spec import ConfigError, Credentials, SecretNotFoundError, SecretRef
from llmgate.testing import FakeClock, ScriptedTransport
from llmgate.testing.sockets import ScriptedSocket

PEPPER = SecretRef("env", "LLMGATE_KEY_PEPPER")


async def test_the_handshake_is_helicones(plane, opener):
    plane.play(saying(full(KEY)))
    await opener()
    (socket,) = plane.sockets
    assert socket.path == "/ws/v1/router/control-plane"
    assert socket.headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert "sec-websocket-protocol" not in socket.headers, "some servers choose whatever is offered first"
    assert socket.messages == [], "nothing is ever told it"


async def test_a_caller_is_the_owner_of_its_key(plane, opener):
    plane.play(saying(full(KEY)))
    stage = await opener()
    found = await stage.authenticate(Credentials(tokens={"helicone-auth": KEY, "authorization": "sk-proj-own"}))
    assert found is not None
    assert (found.id, found.issuer, found.attributes["organization"]) == ("owner-1", "control-plane", "org-1")
    assert await answer(stage, OTHER) == "unknown key"
    assert await stage.authenticate(Credentials()) is None


async def test_lists_replace_what_was_known(plane, opener):
    more = asyncio.Event()

    async def play(socket):
        await socket.send(listed(OTHER))  # means nothing before the full state
        await socket.send(full(KEY))
        await more.wait()
        await socket.send(listed(OTHER))

    plane.play(play)
    stage = await opener(snapshot="")
    assert await answer(stage, KEY) == "owner-1"
    assert await answer(stage, OTHER) == "unknown key"
    more.set()
    await until_told(stage, OTHER, "owner-1")
    assert await answer(stage, KEY) == "unknown key"


async def test_no_keys_at_all_are_keys_too(plane, opener):
    plane.play(saying(full(KEY), listed()))
    stage = await opener()
    await until_told(stage, KEY, "unknown key")


async def test_an_unknown_key_may_be_left_to_others(plane, opener):
    plane.play(saying(full(KEY)))
    stage = await opener(unknown="pass")
    assert await answer(stage, OTHER) == "nobody"
    assert await answer(stage, KEY) == "owner-1"


def snapshot(*keys: str, revision: int = 1, epoch: str = "e", part: int = 0, last: bool = True, beat: float = 5) -> str:
    found = [written_key(issued(key)) for key in keys]
    return update("Snapshot", epoch=epoch, revision=revision, part=part, last=last, beat=beat, age=0.0, keys=found)


def delta(before: int, after: int, *keys: str, withdrawn: tuple[str, ...] = (), epoch: str = "e") -> str:
    found = [written_key(issued(key)) for key in keys]
    names = [name_of(key) for key in withdrawn]
    return update("Delta", epoch=epoch, **{"from": before, "to": after}, keys=found, withdrawn=names)


class TestOwnDialect:
    async def test_parts_count_when_all_are_there(self, plane, opener):
        rest = asyncio.Event()

        async def play(socket):
            await socket.send(snapshot(KEY, last=False))
            await rest.wait()
            await socket.send(snapshot(OTHER, part=1))

        plane.play(play)
        stage = await opener(pepper=PEPPER, open_timeout=0.2, timeout=30)
        assert await answer(stage, KEY) == "control_plane_unavailable"
        rest.set()
        await until_told(stage, KEY, name_of(KEY))
        assert await answer(stage, OTHER) == name_of(OTHER)
        assert plane.sockets[0].headers["llmgate-key-sync"] == "1"

    async def test_changes_are_made_in_order_and_repeated_ones_once(self, plane, opener):
        plane.play(
            saying(
                snapshot(KEY),
                delta(1, 2, OTHER),
                delta(1, 2, withdrawn=(OTHER,)),  # the same step again, whatever it says
                delta(1, 3, withdrawn=(KEY,)),  # reaches back to what is known already
            )
        )
        stage = await opener(pepper=PEPPER)
        await until_told(stage, KEY, "unknown key")
        assert await answer(stage, OTHER) == name_of(OTHER)
        assert len(plane.sockets) == 1

    @pytest.mark.parametrize(
        "messages",
        [
            (snapshot(), delta(2, 3, OTHER)),
            (snapshot(), update("Beat", epoch="e", revision=2, age=0.0)),
            (snapshot(), delta(1, 2, OTHER, epoch="another")),
            (snapshot(), update("Beat", epoch="another", revision=1, age=0.0)),
            (delta(1, 2, OTHER),),
            (update("Beat", epoch="e", revision=1, age=0.0),),
            (snapshot(last=False), snapshot(OTHER, part=2)),
            (snapshot(last=False), snapshot(OTHER, part=1, revision=2)),
            (snapshot(last=False), snapshot(OTHER, part=1, epoch="another")),
            (snapshot(part=1),),
        ],
    )
    async def test_what_does_not_fit_ends_the_connection_and_changes_nothing(self, plane, opener, messages):
        plane.play(saying(*messages))
        plane.play(saying(snapshot(KEY, epoch="f", revision=7)))
        stage = await opener(pepper=PEPPER)
        await until_told(stage, KEY, name_of(KEY))
        assert await answer(stage, OTHER) == "unknown key"
        assert len(plane.sockets) == 2
        assert plane.sockets[0].close_code == 1002

    async def test_one_that_falls_silent_is_given_up(self, plane, opener):
        plane.play(saying(snapshot(KEY, beat=0.1)))
        plane.play(saying(snapshot(OTHER, beat=5.0)))
        stage = await opener(pepper=PEPPER)
        await until_told(stage, OTHER, name_of(OTHER))

    async def test_one_that_has_lost_its_own_keys_is_believed_for_as_long_as_any(self, plane, opener):
        found = asyncio.Event()

        async def play(socket):
            await socket.send(snapshot(KEY))
            await socket.send(update("Beat", epoch="e", revision=1, age=10_000.0))
            await found.wait()
            await socket.send(update("Beat", epoch="e", revision=1, age=0.0))

        plane.play(play)
        clock = FakeClock()
        context = make_context(opener.directory, clock=clock)
        stage = await opener(pepper=PEPPER, stale_for=3600.0, context=context)
        assert await answer(stage, KEY) == name_of(KEY)
        clock.advance(3599.0)
        assert await answer(stage, KEY) == name_of(KEY)
        clock.advance(17.0)
        assert await answer(stage, KEY) == "control_plane_unavailable"
        found.set()
        await until_told(stage, KEY, name_of(KEY))


class TestOutage:
    async def cut(self, plane, opener, clock, **config):
        """A stage whose control plane has told its keys and then gone for ever."""
        gone = asyncio.Event()

        async def play(socket):
            await socket.send(full(KEY))
            await gone.wait()
            socket.reset()

        plane.play(play)
        stage = await opener(context=make_context(opener.directory, clock=clock), **config)
        assert await answer(stage, KEY) == "owner-1"
        for _ in range(50):
            plane.refuse(503)
        gone.set()
        return stage

    async def test_known_keys_go_on_for_as_long_as_is_said(self, plane, opener):
        clock = FakeClock()
        stage = await self.cut(plane, opener, clock, stale_for=600.0, max_delay=3600.0, min_delay=3600.0)
        await until(lambda: not stage._feed.synced)
        assert await answer(stage, KEY) == "owner-1"
        assert await answer(stage, OTHER) == "unknown key"
        clock.advance(590.0)
        assert await answer(stage, KEY) == "owner-1"
        clock.advance(11.0)
        for key in (KEY, OTHER):
            assert await answer(stage, key) == "control_plane_unavailable"
        assert await stage.authenticate(Credentials()) is None

    async def test_or_nobody_is_let_in_at_once(self, plane, opener):
        clock = FakeClock()
        stage = await self.cut(plane, opener, clock, on_outage="deny", max_delay=3600.0, min_delay=3600.0)
        await until_told(stage, KEY, "control_plane_unavailable")

    async def test_the_error_says_when_to_come_back_and_names_no_address(self, plane, opener):
        plane.refuse(503)
        stage = await opener(open_timeout=0.05, min_delay=10, max_delay=10)
        with pytest.raises(ControlPlaneUnavailableError) as caught:
            await stage.authenticate(Credentials.of(KEY))
        assert caught.value.retry_after == 1.0
        assert caught.value.http_status == 503
        assert str(plane.port) not in caught.value.message


class TestRestart:
    async def test_keys_of_before_are_served_without_a_control_plane(self, plane, opener):
        plane.play(saying(full(KEY)))
        first = await opener()
        assert await answer(first, KEY) == "owner-1"
        await first.aclose()
        for _ in range(20):
            plane.refuse(503)
        second = await opener()
        assert await answer(second, KEY) == "owner-1"
        assert await answer(second, OTHER) == "unknown key"

    async def test_their_age_counts_over_restarts(self, plane, opener):
        plane.play(saying(full(KEY)))
        first = await opener()
        await first.aclose()
        for _ in range(100):
            plane.refuse(503)
        clock = FakeClock(now=make_context(opener.directory).clock.now() + 4000.0)
        second = await opener(context=make_context(opener.directory, clock=clock), stale_for=3600.0)
        assert await answer(second, KEY) == "control_plane_unavailable"

    async def test_a_key_that_was_revoked_meanwhile_does_not_work_for_a_moment(self, plane, opener):
        plane.play(saying(full(KEY)))
        first = await opener()
        await first.aclose()
        plane.play(saying(full(OTHER)))
        second = await opener()
        assert await answer(second, KEY) == "unknown key"

    async def test_a_revocation_is_on_disk_at_once(self, plane, opener):
        revoke = asyncio.Event()

        async def play(socket):
            await socket.send(full(KEY, OTHER))
            await revoke.wait()
            await socket.send(listed(OTHER))

        plane.play(play)
        first = await opener()
        file = opener.directory / "llmgate-control-plane.snapshot"
        await until(file.exists)
        revoke.set()
        await until(lambda: len(json.loads(file.read_bytes().partition(b"\n")[2])["keys"]) == 1)
        del first  # killed: it closes nothing
        for _ in range(20):
            plane.refuse(503)
        second = await opener()
        assert await answer(second, KEY) == "unknown key"
        assert await answer(second, OTHER) == "owner-1"

    async def test_a_damaged_file_is_named_and_replaced(self, plane, opener, caplog):
        file = opener.directory / "llmgate-control-plane.snapshot"
        file.write_text("garbage")
        file.chmod(0o600)
        plane.play(saying(full(KEY)))
        stage = await opener()
        assert await answer(stage, KEY) == "owner-1"
        assert f"the snapshot of keys is not used: {file}" in caplog.text
        await stage.aclose()
        assert b"llmgate-control-plane-snapshot" in file.read_bytes()

    async def test_a_sealed_one_is_served_again(self, plane, opener):
        plane.play(saying(full(KEY)))
        seal = SecretRef("env", "SNAPSHOT_KEY")
        await (await opener(snapshot_key=seal)).aclose()
        plane.refuse(503)
        plane.refuse(503)
        assert await answer(await opener(snapshot_key=seal), KEY) == "owner-1"
        assert b"owner-1" not in (opener.directory / "llmgate-control-plane.snapshot").read_bytes()

    async def test_a_directory_that_cannot_be_written_stops_nobody(self, plane, opener, caplog):
        plane.play(saying(full(KEY)))
        stage = await opener(snapshot="not-there/keys")
        assert await answer(stage, KEY) == "owner-1"
        await until(lambda: "cannot be kept on disk" in caplog.text)

    async def test_without_a_file_nothing_is_kept(self, plane, opener):
        plane.play(saying(full(KEY)))
        await (await opener(snapshot="")).aclose()
        assert list(opener.directory.iterdir()) == []


class TestOpening:
    async def test_a_missing_or_empty_credential_stops_the_start(self, tmp_path: Path):
        for secrets, error in (({}, SecretNotFoundError), ({"env:HELICONE_CONTROL_PLANE_API_KEY": " "}, ConfigError)):
            stage = ControlPlane(ControlPlaneConfig())
            with pytest.raises(error, match="HELICONE_CONTROL_PLANE_API_KEY"):
                await stage.open(make_context(tmp_path, secrets=secrets, transport=ScriptedTransport()))
            await stage.aclose()

    async def test_certificates_that_are_not_there_stop_the_start(self, tmp_path: Path):
        stage = ControlPlane(ControlPlaneConfig(ca_file=Path("none.pem")))
        with pytest.raises(ConfigError, match=r"none\.pem cannot be read"):
            await stage.open(make_context(tmp_path, transport=ScriptedTransport()))
        await stage.aclose()

    async def test_a_new_credential_is_used_at_the_next_connection(self, opener, plane):
        secrets = dict(SECRETS)
        gone = asyncio.Event()
        plane.play(saying(full(KEY), then=gone))
        plane.play(saying(full(KEY)))
        context = make_context(opener.directory, secrets=secrets)
        stage = await opener(context=context)
        secrets["env:HELICONE_CONTROL_PLANE_API_KEY"] = "rotated"
        gone.set()
        await plane.sockets[0].close()
        await until(lambda: len(plane.sockets) == 2)
        assert plane.sockets[1].headers["authorization"] == "Bearer rotated"
        del stage

    async def test_a_transport_without_websockets_is_named(self, tmp_path: Path, caplog):
        class Plain:
            async def aclose(self):
                pass

        stage = ControlPlane(ControlPlaneConfig(open_timeout=0.2))
        await stage.open(make_context(tmp_path, transport=Plain()))
        assert "has no WebSockets" in caplog.text
        await stage.aclose()

    async def test_it_does_not_wait_longer_than_it_is_told(self, tmp_path: Path):
        stage = ControlPlane(ControlPlaneConfig(open_timeout=0.1))
        transport = ScriptedTransport([ScriptedSocket()])
        async with asyncio.timeout(2):
            await stage.open(make_context(tmp_path, transport=transport))
        assert await answer(stage, KEY) == "control_plane_unavailable"
        await stage.aclose()
