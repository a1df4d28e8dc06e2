"""The proxy that an operator has written down. Nothing else makes a connection go through one.

It is chosen when a pool of connections is made, so that a request costs nothing. What a caller has chosen himself never
goes through it: the guard at the socket would see the proxy and not the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

import attrs

from llmgate.catalogue import DomainPatterns

__all__ = ["Proxy"]

_THIS_MACHINE: Final = ("localhost", ".localhost")


@attrs.frozen
class Proxy:
    """A proxy, and what is reached without it.

    Args:
        url: Its address, ``http://HOST:PORT``.
        direct: Hosts that are reached without it: names as ``DomainPatterns`` has them, or addresses.
    """

    url: str
    direct: Sequence[str] = ()
    _patterns: DomainPatterns = attrs.field(init=False, repr=False, eq=False)

    @_patterns.default
    def _compiled(self) -> DomainPatterns:
        return DomainPatterns([*_THIS_MACHINE, *(one for one in self.direct if not _is_address(one))])

    def for_host(self, host: str) -> str | None:
        """The proxy for connections to a host; None where they are direct, as to this machine they always are."""
        name = host.lower().strip("[]").rstrip(".")
        if _is_address(name):
            return None if ip_address(name).is_loopback or name in self.direct else self.url
        return None if self._patterns.fit(name) else self.url


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
