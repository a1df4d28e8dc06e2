"""Which addresses may be reached, checked at the socket.

A check of names or of DNS answers misses literal addresses and loses the race against a changing answer. aiohttp calls
``socket_factory`` with the final address of every connection, literal or resolved, so this is the one choke point.

``ipaddress`` does not know enough (``is_global`` is true for NAT64, 6to4 and Azure's 168.63.129.16), hence explicit
lists, taken from the IANA special-purpose address registries (RFC 6890 and updates) and the clouds' own documents, and
unwrapping of every form in which an IPv6 address carries an IPv4 one.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

import attrs

__all__ = ["CONFIGURED_TARGETS", "PUBLIC_TARGETS", "EgressPolicy", "ForbiddenAddressError"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*ranges: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in ranges)


_NEVER: Final = _networks(
    "0.0.0.0/8",  # "this host": Linux takes it for loopback, but it names no provider
    "169.254.0.0/16",  # link-local; the metadata services of AWS, GCP, Azure, OCI; ECS credentials
    "100.100.100.200/32",  # metadata, Alibaba Cloud
    "168.63.129.16/32",  # Azure's wire server
    "192.0.0.192/32",  # metadata, Oracle Cloud classic
    "224.0.0.0/4",  # multicast
    "255.255.255.255/32",  # broadcast
    "::/128",
    "fe80::/10",  # link-local
    "fd00:ec2::/32",  # metadata, DNS, time and pod credentials of AWS
    "fd20:ce::254/128",  # metadata, GCP
    "ff00::/8",  # multicast
)
_NOT_PUBLIC: Final = _networks(
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "192.31.196.0/24",  # AS112
    "192.52.193.0/24",  # AMT
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "192.175.48.0/24",  # AS112
    "198.18.0.0/15",  # benchmarks
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "240.0.0.0/4",  # reserved
    "::/3",  # everything below 2000::/3, the only global unicast there is: loopback, mapped, NAT64 …
    "2001::/23",  # IETF protocol assignments, Teredo among them
    "2001:db8::/32",  # documentation
    "2002::/16",  # 6to4
    "2620:4f:8000::/48",  # AS112
    "3fff::/20",  # documentation
    "4000::/2",
    "8000::/1",
)
_MAPPED: Final = ip_network("::ffff:0:0/96")
_COMPATIBLE: Final = ip_network("::/96")
_LAST_32_BITS: Final = _networks(
    "::ffff:0:0:0/96",  # translated, RFC 2765
    "64:ff9b::/96",  # NAT64, RFC 6052
    "64:ff9b:1::/48",  # local NAT64, RFC 8215, with the usual /96 prefix
)
_LOCAL_NAT64: Final = ip_network("64:ff9b:1::/48")
_SIX_TO_FOUR: Final = ip_network("2002::/16")
_TEREDO: Final = ip_network("2001::/32")


class ForbiddenAddressError(OSError):
    """A connection to a forbidden address was refused before any packet left; the message does not name the address.

    Args:
        what: Which addresses those are and what to do about it; the sentence begins with the name of a provider.
    """

    def __init__(self, what: str) -> None:
        super().__init__(errno.EACCES, "the address is in a range that may not be called")
        self.what = what


@attrs.frozen
class EgressPolicy:
    """Which addresses connections may be opened to.

    Args:
        forbidden: Ranges that are refused, in whatever form an address within them is written.
        what: What a refusal says of an address.
        listed: Hosts, lower case and without brackets, and their ports that the operator has listed: those may be at
            private addresses, and an address that stands there itself may be any.
    """

    forbidden: Sequence[Network]
    what: str = "has an address that may not be called"
    listed: frozenset[tuple[str, int]] = frozenset()

    def for_host(self, host: str, port: int) -> EgressPolicy:
        """The policy for connections to one host and port; asked once for a pool of connections, not for each."""
        name = host.lower()
        if (name, port) not in self.listed:
            return self
        try:
            ip_address(name)
        except ValueError:
            return CONFIGURED_TARGETS  # what a name leads to may change, so that metadata stays out of its reach
        return EgressPolicy(())

    def is_forbidden(self, address: str | Address) -> bool:
        """Whether an address is refused: it, or an IPv4 address that it carries, is in a forbidden range.

        Args:
            address: An IPv4 or IPv6 address; text that is neither is refused.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return True
        return any(
            form in network for form in _forms(parsed) for network in self.forbidden if form.version == network.version
        )

    def open_socket(self, address_info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for a connection; aiohttp's ``socket_factory``.

        Args:
            address_info: ``(family, type, protocol, canonical name, socket address)``, as ``getaddrinfo`` gives it.

        Raises:
            ForbiddenAddressError: the address is refused.
        """
        family, kind, protocol, _, address = address_info
        if family not in {socket.AF_INET, socket.AF_INET6} or self.is_forbidden(address[0]):
            raise ForbiddenAddressError(self.what)
        return socket.socket(family, kind, protocol)


CONFIGURED_TARGETS: Final = EgressPolicy(
    _NEVER, "has an address in a range that is never called (metadata, link-local, multicast); correct its base-url"
)
"""For addresses that the operator wrote down: loopback and private networks are theirs to name, metadata never is."""

PUBLIC_TARGETS: Final = EgressPolicy(
    _NEVER + _NOT_PUBLIC,
    "has an address that no caller may choose; the operator can list its host and port under egress.allow",
)
"""For addresses that somebody else chose: public unicast only."""


def _forms(address: Address) -> Iterator[Address]:
    """The address, and every IPv4 address that it may be a wrapping of."""
    yield address
    if isinstance(address, IPv4Address):
        return
    value = int(address)
    low = IPv4Address(value & 0xFFFFFFFF)
    if address in _MAPPED or any(address in network for network in _LAST_32_BITS):
        yield low
    if address in _COMPATIBLE and value > 0xFFFFFF:  # ``::`` and ``::1`` carry nothing
        yield low
    if address in _LOCAL_NAT64:  # RFC 6052, 2.2: a /48 prefix holds the address in bits 48-63 and 72-87
        yield IPv4Address((value >> 64 & 0xFFFF) << 16 | (value >> 40 & 0xFFFF))
    if address in _SIX_TO_FOUR:
        yield IPv4Address(value >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:  # the server, and the client with its bits turned over
        yield IPv4Address(value >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~value & 0xFFFFFFFF)
    if value >> 32 & 0xFDFFFFFF == 0x00005EFE:  # ISATAP, RFC 5214: …:0:5efe:a.b.c.d or …:200:5efe:a.b.c.d
        yield low
