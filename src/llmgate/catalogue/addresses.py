"""A provider's address: what the operator wrote, checked and completed with the version path that the vendor uses.

What comes out is where a credential will be sent, so anything that two parsers could read in two ways is refused
rather than repaired; one strict pattern is the only parser here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote

import attrs

from llmgate.spec import ProviderRow

__all__ = ["VERSION", "begins", "own_path", "resolve_base_url"]

_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?"
                         r"(?P<path>/.*)?", re.ASCII | re.IGNORECASE)  # fmt: skip
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII | re.IGNORECASE)
VERSION: Final = re.compile(r"v[0-9][0-9a-z.]*", re.ASCII)
_DEFAULT_TAIL: Final = ("v1",)


def resolve_base_url(row: ProviderRow | None, base_url: str | None, version_path: str | None = None) -> str:
    """The address that requests to a provider are built on, without a trailing slash.

    An address is completed to the row's own path where it is the beginning of it (``https://api.groq.com``,
    ``…/openai`` and ``…/openai/v1`` are the same for Groq); with a version segment of its own it stays as it is; else
    the row's version path, or ``/v1`` where no row says anything, is added.

    Args:
        row: What is known of the vendor; None for a provider that no row knows.
        base_url: What the operator wrote; None for the row's own address.
        version_path: What the operator says the version path is: ``""`` leaves the path as written, another one stands
            in its place; None deduces it.

    Raises:
        ValueError: there is no address, or it is not a plain http or https one; the message never repeats it, since a
            mistyped one may hold a credential.
    """
    own = own_path(row)
    if base_url is None:
        if row is None or row.base_url is None:
            raise ValueError(_missing_address(row))
        if version_path is None or not row.base_url.startswith(("http://", "https://")):
            return row.base_url
        base_url = row.base_url
    address = _parse(base_url)
    _refuse_endpoint(row, address.path)
    if version_path is None:
        path = _completed(row, own, address)
    else:
        path = _with_version(own, address.path, _segments(version_path, "version-path"))
    return "/".join((address.origin, *path))


@attrs.frozen
class _Address:
    """An address taken apart: its origin, lower case, the host in it, and the segments of its path."""

    origin: str
    host: str
    path: tuple[str, ...]


def _parse(url: str) -> _Address:
    """Take an address apart, or say what is wrong with it."""
    if not url.isascii():
        raise ValueError("base-url must be ASCII: write an international host name in its xn-- form")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("base-url must not contain spaces, line breaks or control characters")
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("base-url must start with http:// or https://")
    for character, what in (("?", "a query"), ("#", "a fragment"), ("\\", "a backslash")):
        if character in url:
            raise ValueError(f"base-url must not have {what}: write scheme, host, port and path only")
    authority = url.split("//", 1)[1].split("/", 1)[0]
    if "@" in authority:
        raise ValueError("base-url must not carry a user name or password: give the credential as a secret")
    match = _URL.fullmatch(url)
    if match is None or not _is_host(match["host"]):
        raise ValueError("base-url has no valid host" if authority else "base-url has no host")
    port = match["port"]
    if port is not None and not 0 < int(port) < 65536:
        raise ValueError("base-url has a port outside 1 to 65535")
    host = match["host"].lower()
    origin = f"{match['scheme'].lower()}://{host}" + (f":{port}" if port is not None else "")
    return _Address(origin, host, _segments(match["path"] or "", "base-url"))


def _is_host(host: str) -> bool:
    """Whether it is a host name or an IP address in its usual form."""
    if host.startswith("["):
        try:
            return bool(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return False
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    if not labels[-1].isdigit() and not labels[-1].lower().startswith("0x"):
        return True
    # A last label that is a number makes it an IPv4 address; 127.1 and 0x7f000001 are read differently by readers.
    try:
        return bool(ipaddress.IPv4Address(host))
    except ValueError:
        return False


def _segments(path: str, what: str) -> tuple[str, ...]:
    """The segments of a path, slashes at its ends left out.

    Raises:
        ValueError: a segment is empty, a dot segment, or has a character that paths do not have.
    """
    stripped = path.strip("/") if what == "version-path" else path.removeprefix("/").rstrip("/")
    if not stripped:
        return ()
    segments = tuple(stripped.split("/"))
    for segment in segments:
        plain = unquote(segment)
        if not segment:
            raise ValueError(f"{what} must not have an empty path segment (//)")
        if plain in {".", ".."}:
            raise ValueError(f"{what} must not have a {plain} segment: write the path itself")
        if not _SEGMENT.fullmatch(segment) or not plain.isprintable() or any(sign in plain for sign in "/\\%?#\ufffd"):
            raise ValueError(f"{what} has a character that does not belong in a path")
    return segments


def _refuse_endpoint(row: ProviderRow | None, path: Sequence[str]) -> None:
    """Refuse the address of an endpoint, which is easily pasted in place of the base."""
    endpoints = {"/chat/completions", *(row.formats.values() if row else ())}
    written = "/" + "/".join(path)
    for endpoint in sorted(endpoints):
        if written.endswith(endpoint):
            raise ValueError(f"base-url must stop before {endpoint}: the gateway adds the path of each endpoint")


def own_path(row: ProviderRow | None) -> tuple[str, ...] | None:
    """The path of the row's own address, ``{…}`` for a segment that differs by customer; None when no row says."""
    if row is None:
        return None
    url = row.base_url or row.address
    return tuple(url.split("://", 1)[1].split("/")[1:]) if url is not None else None


def _completed(row: ProviderRow | None, own: tuple[str, ...] | None, address: _Address) -> tuple[str, ...]:
    """The written path with what it lacks."""
    path = address.path
    if own is not None and begins(own, path):
        rest = own[len(path) :]
        if not any(_is_open(segment) for segment in rest):
            return (*path, *rest)
        assert row is not None, "only a row has a path"
        if any(fnmatchcase(address.host, domain) for domain in row.domains) or any(map(_is_open, _tail(own))):
            raise ValueError(f"base-url lacks a part: write it as {row.address}")
    if any(VERSION.fullmatch(segment) for segment in path):
        return path
    return (*path, *(_DEFAULT_TAIL if own is None else _tail(own)))


def _with_version(own: tuple[str, ...] | None, path: tuple[str, ...], version: tuple[str, ...]) -> tuple[str, ...]:
    """The written path with the operator's version path at its end, in place of another one."""
    if not version or path[-len(version) :] == version:
        return path
    tail = _tail(own) if own is not None else ()
    if tail and path[-len(tail) :] == tail:
        path = path[: -len(tail)]
    elif path and VERSION.fullmatch(path[-1]):
        path = path[:-1]
    return (*path, *version)


def begins(own: Sequence[str], path: Sequence[str]) -> bool:
    """Whether a path is the beginning of the row's own, or all of it."""
    return len(path) <= len(own) and all(
        _is_open(expected) or expected == written for expected, written in zip(own, path, strict=False)
    )


def _tail(own: tuple[str, ...]) -> tuple[str, ...]:
    """The end of a row's own path that names the version, from its last version segment on; empty when it has none."""
    versions = [index for index, segment in enumerate(own) if VERSION.fullmatch(segment)]
    return own[versions[-1] :] if versions else ()


def _is_open(segment: str) -> bool:
    """Whether a segment of an address stands for something that every customer has for himself."""
    return segment.startswith("{")


def _missing_address(row: ProviderRow | None) -> str:
    """Why there is no address, and what to write."""
    if row is None:
        return "a provider that the catalogue does not know needs a base-url"
    return f"{row.name} has no address that all customers share: set its base-url" + (
        f", {row.address}" if row.address else ""
    )
