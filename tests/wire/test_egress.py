"""Addresses in every dress: what is never reached, what only an operator may name, what is public."""

from __future__ import annotations

import socket

import pytest

from llmgate.wire.egress import CONFIGURED_TARGETS, PUBLIC_TARGETS, ForbiddenAddressError

NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
    "ff02::1",
    # the metadata address as IPv6 carries it
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2002:a9fe:a9fe::",
    "2001:0:a9fe:a9fe::1",
    "2001::5601:5601",  # Teredo client: bits turned over
    "2001:db8::5efe:a9fe:a9fe",
    "2001:db8::200:5efe:169.254.169.254",
    "::ffff:168.63.129.16",
    "64:ff9b::100.100.100.200",
    # no address at all
    "",
    "localhost",
    "127.1",
    "0x7f000001",
    "2130706433",
    "127.0.0.1 ",
]
OPERATOR_ONLY = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "::ffff:127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "240.0.0.1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "::127.0.0.1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:db8::1",
    "3fff::1",
    "100::1",
    "5f00::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "104.18.6.192", "172.32.0.1", "100.128.0.1", "2606:4700::6812:6c0", "2a00:1450:4001::1"]


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_the_like_are_never_reached(address: str) -> None:
    assert CONFIGURED_TARGETS.is_forbidden(address)
    assert PUBLIC_TARGETS.is_forbidden(address)


@pytest.mark.parametrize("address", OPERATOR_ONLY)
def test_private_addresses_are_the_operators_to_name(address: str) -> None:
    assert not CONFIGURED_TARGETS.is_forbidden(address)
    assert PUBLIC_TARGETS.is_forbidden(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    assert not CONFIGURED_TARGETS.is_forbidden(address)
    assert not PUBLIC_TARGETS.is_forbidden(address)


def test_a_socket_is_made_only_for_an_allowed_address() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with CONFIGURED_TARGETS.open_socket((*info, ("127.0.0.1", 80))) as made:
        assert made.family == socket.AF_INET
    with pytest.raises(ForbiddenAddressError) as caught:
        PUBLIC_TARGETS.open_socket((*info, ("127.0.0.1", 80)))
    assert "127.0.0.1" not in str(caught.value)


def test_only_internet_sockets_are_made() -> None:
    with pytest.raises(ForbiddenAddressError):
        CONFIGURED_TARGETS.open_socket((socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 80)))
