"""Reads the target that a caller names: one way to write a host, so that no two readers take it for two.

Whatever C libraries, browsers or older resolvers make of ``127.1``, ``0x7f000001`` or full-width digits: here a host is
plain labels, or an address in its usual form. Which addresses may be reached is not decided here but at the socket.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from llmgate.spec import Target

from .domains import provider_for_domain

__all__ = ["parse_target"]

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9_.-]{1,254}))(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<rest>[!-\[\]-~]*))?",
    re.ASCII | re.IGNORECASE,
)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 2048
_LONGEST_LABEL: Final = 100


def parse_target(url: str, *, path: str = "/", label: str = "") -> Target:
    """The target behind an address; only its origin counts, path and query are those of the request.

    Args:
        url: What the caller wrote.
        path: The path of the request, its query behind it.
        label: What the caller calls the provider; what cannot be printed of it is left out.

    Raises:
        ValueError: it is not one address that everybody reads alike; the message says what is wrong.
    """
    found = _URL.fullmatch(url.strip()) if len(url) <= _LONGEST else None
    if found is None:
        raise ValueError("it is not https://HOST, in plain ASCII, without user name, query or fragment")
    if set(found["rest"] or "") & set("?#"):
        raise ValueError("it holds a query or a fragment: write the query behind the request's own path")
    scheme = found["scheme"].lower()
    usual = _PORTS[scheme]
    port = int(found["port"] or usual)
    if not 0 < port < 65536:
        raise ValueError("it names no port between 1 and 65535")
    host = _address(found["six"]) if found["six"] is not None else _name(found["name"].lower().removesuffix("."))
    shown = f"[{host}]" if ":" in host else host
    row = provider_for_domain(host)
    return Target(
        origin=f"{scheme}://{shown}" if port == usual else f"{scheme}://{shown}:{port}",
        host=host,
        port=port,
        path=path,
        label="".join(sign for sign in label if sign.isprintable()).strip()[:_LONGEST_LABEL],
        row=row.name if row is not None else "",
    )


def _address(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError("it names no IPv6 address between its brackets") from None


def _name(text: str) -> str:
    labels = text.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(text))  # refuses zeros in front, which some read as octal
        except AddressValueError:
            raise ValueError("it names an address in a form that not everybody reads alike") from None
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("it names no host: labels of letters, digits and dashes, with dots between them")
    return text
