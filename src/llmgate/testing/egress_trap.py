"""A trap for tests: nobody gets out of the machine, and a test that tries fails.

It works inside this process: what a subprocess does is not seen.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final

__all__ = ["EgressRefusedError", "EgressTrap"]

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)
_NOWHERE: Final = ".invalid"
"""Names under it never exist (RFC 6761, 6.4): answered without asking anybody, so that tests have one that fails."""


class EgressRefusedError(OSError):
    """A connection or a look-up that would have left the machine."""


class EgressTrap:
    """Replaces the socket module's ways out while it is installed.

    Attributes:
        refused: What was tried, in words, since it was last cleared.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Close the ways out; does nothing when they are closed."""
        if self._undo:
            return
        for name, address_of in (
            ("connect", lambda args: args[0]),
            ("connect_ex", lambda args: args[0]),
            ("sendto", lambda args: args[-1]),
            ("sendmsg", lambda args: args[3] if len(args) > 3 else None),
        ):
            self._replace_method(name, address_of)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
            self._replace_lookup(name)

    def uninstall(self) -> None:
        """Open the ways out again."""
        while self._undo:
            self._undo.pop()()

    def _replace_method(self, name: str, address_of: Callable[[tuple[Any, ...]], Any]) -> None:
        original = getattr(socket.socket, name)
        own = name in vars(socket.socket)

        def guarded(sock: socket.socket, *args: Any) -> Any:
            if sock.family in _INTERNET:
                self._check_address(name, address_of(args))
            return original(sock, *args)

        setattr(socket.socket, name, guarded)
        self._undo.append(
            (lambda: setattr(socket.socket, name, original)) if own else (lambda: delattr(socket.socket, name))
        )

    def _replace_lookup(self, name: str) -> None:
        original = getattr(socket, name)

        def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
            self._check_lookup(name, host)
            return original(host, *args, **kwargs)

        setattr(socket, name, guarded)
        self._undo.append(lambda: setattr(socket, name, original))

    def _check_address(self, how: str, address: Any) -> None:
        if address is None:
            return  # a socket that is connected already
        host = address[0] if isinstance(address, tuple) and address else address
        if not _is_loopback(_text(host)):
            self._refuse(f"{how} to {address!r}")

    def _check_lookup(self, how: str, host: Any) -> None:
        name = _text(host[0] if isinstance(host, tuple) else host)
        if name in ("", "localhost") or _literal(name) is not None:
            return  # answered without a name server
        if name.rstrip(".").endswith(_NOWHERE):
            raise socket.gaierror(socket.EAI_NONAME, f"{name} does not exist")
        self._refuse(f"{how} of {name!r}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        raise EgressRefusedError(
            f"{what} would leave this machine: tests reach loopback only, and names under .invalid"
        )


def _text(host: Any) -> str:
    if isinstance(host, bytes | bytearray):
        return bytes(host).decode("ascii", "replace")
    return "" if host is None else str(host)


def _literal(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(text: str) -> bool:
    address = _literal(text)
    if address is None:
        return text == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
