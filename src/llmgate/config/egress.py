"""Where requests may go, and by which way, beside what the providers themselves say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

from llmgate.catalogue import DomainPatterns, parse_target

__all__ = ["EgressConfig"]

_PROXY: Final = re.compile(r"http://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/?")
_ADDRESS: Final = re.compile(r"[0-9.]+|[0-9a-fA-F:]+")


@attrs.frozen
class EgressConfig:
    """Where requests may go beside the addresses of providers.

    Args:
        allow: Hosts with their ports (``llm.internal:8000``, ``10.0.0.7:8000``, ``[fd00::7]:8000``) that may be called
            although their addresses are private, or without TLS, where a caller names them.
        proxy: The proxy through which configured providers are reached, ``http://HOST:PORT``; empty for none. Read at
            the start; targets that callers name are never reached through it.
        direct: Hosts that are reached without it: ``llm.internal``, ``.corp.example`` for all below, or an address.
    """

    allow: Sequence[str] = ()
    proxy: str = ""
    direct: Sequence[str] = ()

    def check(self) -> None:
        """See that everything in it can be read.

        Raises:
            ValueError: naming the key.
        """
        try:
            self.places()
        except ValueError as wrong:
            raise ValueError(f"'egress.allow': {wrong}") from None
        if self.proxy and not _PROXY.fullmatch(self.proxy):
            raise ValueError("'egress.proxy' is no address of a proxy: write http://HOST:PORT, without a password")
        try:
            DomainPatterns(one for one in self.direct if not _ADDRESS.fullmatch(one))
        except ValueError as wrong:
            raise ValueError(f"'egress.direct': {wrong}") from None

    def places(self) -> Sequence[tuple[str, int]]:
        """Hosts, lower case and without brackets, and their ports.

        Raises:
            ValueError: an entry is no host with a port; the message quotes it.
        """
        return [_place(entry) for entry in self.allow]


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.strip().rpartition(":")
    if colon and port.isascii() and port.isdecimal():
        try:
            target = parse_target(f"https://{host}:{port}")
        except ValueError:
            pass
        else:
            return target.host, target.port
    raise ValueError(f"{text!r} is no host with a port: write llm.internal:8000, 10.0.0.7:8000 or [fd00::7]:8000")
