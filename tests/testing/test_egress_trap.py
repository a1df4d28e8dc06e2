"""The trap refuses every way out of the machine that Python's sockets have, and none that stays inside."""

from __future__ import annotations

import asyncio
import socket

import pytest

from llmgate.testing.egress_trap import EgressRefusedError, EgressTrap

OUTSIDE = "192.0.2.1"
"""TEST-NET-1 (RFC 5737): never anybody's."""


@pytest.fixture
def trap():
    trap = EgressTrap()
    trap.install()
    yield trap
    trap.uninstall()


@pytest.fixture
def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.mark.parametrize(
    "attempt",
    [
        lambda sock: sock.connect((OUTSIDE, 80)),
        lambda sock: sock.connect_ex((OUTSIDE, 80)),
        lambda sock: sock.sendto(b"x", (OUTSIDE, 80)),
        lambda sock: sock.sendto(b"x", 0, (OUTSIDE, 80)),
        lambda sock: sock.sendmsg([b"x"], [], 0, (OUTSIDE, 80)),
        lambda sock: sock.connect(("0.0.0.0", 80)),
        lambda sock: sock.connect(("example.com", 80)),
        lambda sock: socket.create_connection((OUTSIDE, 80), timeout=1),
    ],
)
def test_connections_beyond_loopback_are_refused_by_address(trap, udp, attempt):
    with pytest.raises(EgressRefusedError, match="would leave this machine"):
        attempt(udp)
    assert len(trap.refused) == 1


@pytest.mark.parametrize(
    "lookup",
    [
        lambda: socket.getaddrinfo("example.com", 443),
        lambda: socket.getaddrinfo(b"example.com", 443),
        lambda: socket.getaddrinfo(host="example.com", port=443),
        lambda: socket.gethostbyname("example.com"),
        lambda: socket.gethostbyname_ex("example.com"),
        lambda: socket.gethostbyaddr("example.com"),
        lambda: socket.create_connection(("example.com", 443), timeout=1),
    ],
)
def test_lookups_of_other_names_are_refused(trap, lookup):
    with pytest.raises(EgressRefusedError, match=r"example\.com"):
        lookup()
    assert "example.com" in trap.refused[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "localhost", b"127.0.0.1"])
def test_loopback_is_open(trap, udp, address):
    udp.connect((address, 9))
    udp.send(b"x")
    assert trap.refused == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.0.0.1", None])
def test_lookups_that_ask_nobody_are_open(trap, host):
    """An address is no name; who connects to it is caught there."""
    assert socket.getaddrinfo(host, 80)
    assert trap.refused == []


def test_a_name_that_never_exists_fails_as_it_would_and_is_no_offence(trap):
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("provider.invalid", 443)
    assert trap.refused == []


def test_sockets_of_other_families_are_left_alone(trap):
    left, right = socket.socketpair()
    with left, right:
        left.sendmsg([b"x"])
        assert right.recv(1) == b"x"
    with socket.socket(socket.AF_UNIX) as sock, pytest.raises(FileNotFoundError):
        sock.connect("/no/such/socket")
    assert trap.refused == []


async def test_the_event_loop_has_no_way_around_it(trap):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET) as sock:
        sock.setblocking(False)
        with pytest.raises(EgressRefusedError):
            await loop.sock_connect(sock, (OUTSIDE, 80))
    with pytest.raises(EgressRefusedError):
        await asyncio.open_connection("example.com", 80)
    with pytest.raises(EgressRefusedError):
        await asyncio.open_connection(OUTSIDE, 80)


async def test_a_real_conversation_on_loopback_works(trap):
    async def echo(reader, writer):
        writer.write(await reader.read(2))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hi")
        assert await reader.read() == b"hi"
        writer.close()
        await writer.wait_closed()


def test_everything_is_as_before_when_it_is_taken_away():
    names = ("connect", "connect_ex", "sendto", "sendmsg")
    before = {name: vars(socket.socket).get(name) for name in names}, socket.getaddrinfo
    trap = EgressTrap()
    trap.install()
    trap.install()
    assert vars(socket.socket).get("connect") is not before[0]["connect"]
    trap.uninstall()
    trap.uninstall()
    assert ({name: vars(socket.socket).get(name) for name in names}, socket.getaddrinfo) == before
