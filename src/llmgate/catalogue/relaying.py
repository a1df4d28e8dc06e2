"""Where a path of the direct relay leads: ``/{provider}/{rest}`` becomes a path at the provider's own host, or nothing.

Clients write the rest in several ways, with the vendor's version path, without it, or as a part of it; the credential
goes wherever it leads. So what comes out is made of segments that have been looked at one by one, below the provider's
address and nowhere else, and a row says which of its paths are inference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from llmgate.spec import AT_HOST, Provider, ProviderRow

from .addresses import VERSION, begins, own_path

__all__ = ["RelayPath", "map_path", "model_in_path", "mount_of", "without_credentials"]

_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_QUERY: Final = re.compile(r"[!\"$-\[\]-~]*", re.ASCII)
"""What a query may hold: visible ASCII without the hash and the backslash."""
_UNSAFE: Final = frozenset("/\\%?#;")
"""What no segment may hold, not even escaped: upstreams differ in what they make of it."""
_CREDENTIALS: Final = frozenset({"access_token", "api-key", "api_key", "apikey", "auth_token", "key", "x-api-key"})
"""Names of query parameters that carry a credential; the gateway brings its own, in a header."""
_READING: Final = frozenset({"GET", "HEAD"})


@attrs.frozen
class RelayPath:
    """Where a relayed request goes.

    Args:
        path: The path at the provider's host, without a query.
        format: The wire format, or that of the session, whose path it is, where the method is that format's; None for
            none.
        inference: Whether it is one of the paths that the direct relay may call without further leave.
    """

    path: str
    format: str | None
    inference: bool


def map_path(provider: Provider, method: str, rest: str) -> RelayPath:
    """Where a request for ``/{provider}/{rest}`` goes.

    With the address ``https://api.groq.com/openai/v1`` all of ``openai/v1/chat/completions``, ``v1/chat/completions``
    and ``chat/completions`` are the same. A rest that begins with another version (``v1beta/models/…``) stands at the
    host's root. Of several readings the first counts that is inference, else the first.

    Args:
        provider: The provider, as configured.
        method: The HTTP method; ``WS`` for a WebSocket.
        rest: The path behind the provider's name as it was sent, escapes and all; no leading slash, no query.

    Raises:
        ValueError: the path could be read in two ways; the message says what is wrong with it.
    """
    segments = _segments(rest)
    place = _Place.of(provider)
    found = [_judged(provider, place, method, one) for one in place.readings(segments)]
    return next((one for one in found if one.inference), found[0])


def without_credentials(query: str) -> str:
    """A query without the parameters in which clients send credentials; every other byte stays.

    Raises:
        ValueError: it holds characters that must be escaped.
    """
    if not _QUERY.fullmatch(query):
        raise ValueError("the query holds characters that must be percent-encoded")
    return "&".join(part for part in query.split("&") if not _names_credential(part))


def model_in_path(method: str, path: str) -> str | None:
    """The model that a path names: behind ``models/`` (Google, OpenAI) or ``model/`` (Bedrock); None for none.

    Google writes what to do behind the name (``models/NAME:generateContent``), Bedrock as a segment of its own.
    """
    segments = path.split("/")
    for index in range(len(segments) - 2, -1, -1):
        if segments[index] == "models":
            name = "/".join(segments[index + 1 :])
            before, colon, _ = name.rpartition(":")
            return unquote(before if colon and method == "POST" else name)
        if segments[index] == "model":
            return unquote(segments[index + 1])
    return None


def mount_of(provider: Provider) -> str:
    """Where the vendor's own paths begin at the provider's host: ``""`` at the vendor, a path behind a proxy."""
    return "".join(f"/{segment}" for segment in _Place.of(provider).mount)


def _path_of(place: _Place, own: str) -> str:
    start = place.mount if own.startswith(AT_HOST) else place.base
    return "".join(f"/{segment}" for segment in start) + own.removeprefix(AT_HOST)


@attrs.frozen
class _Place:
    """A provider's address taken apart.

    Args:
        mount: Where the vendor's own paths begin: nothing at the vendor itself, something behind a proxy.
        own: The rest of the address, for example ``openai/v1``.
        public: The path of the vendor's own address, ``{…}`` for a segment that differs by customer.
    """

    mount: tuple[str, ...]
    own: tuple[str, ...]
    public: tuple[str, ...]

    @classmethod
    def of(cls, provider: Provider) -> _Place:
        """Take the address of a provider apart."""
        base = tuple(segment for segment in urlsplit(provider.base_url).path.split("/") if segment)
        public = tuple(segment for segment in own_path(provider.row) or () if segment)
        if public and len(base) >= len(public) and begins(public, base[-len(public) :]):
            split = len(base) - len(public)
        else:
            split = next((index for index, segment in enumerate(base) if VERSION.fullmatch(segment)), len(base))
        return cls(base[:split], base[split:], public)

    @property
    def base(self) -> tuple[str, ...]:
        """The whole path of the address."""
        return (*self.mount, *self.own)

    def readings(self, rest: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """What a rest may mean, likeliest first; each is below the mount."""
        base, own, public = self.base, self.own, self.public
        versioned = VERSION.fullmatch(rest[0]) is not None
        if base and rest[: len(base)] == base:
            yield rest
        if own and rest[0] == own[0]:
            yield (*self.mount, *rest)
        if public and len(rest) >= len(public) and begins(public, rest[: len(public)]):
            yield (*base, *rest[len(public) :])
        for start in range(1, len(own)):
            if rest[: len(own) - start] == own[start:]:
                yield (*base, *rest[len(own) - start :])
        if versioned:
            yield (*self.mount, *rest)
        yield (*base, *rest)
        if versioned and len(rest) > 1:
            yield (*base, *rest[1:])
        yield (*self.mount, *rest)


def _segments(rest: str) -> tuple[str, ...]:
    segments = tuple(rest.split("/"))
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise ValueError("the path has an empty segment, or a character that does not belong in a path")
        plain = unquote(segment)
        if plain in {".", ".."} or not plain.isprintable() or "\ufffd" in plain or not _UNSAFE.isdisjoint(plain):
            raise ValueError("the path has dot segments, or escaped slashes, percent signs or control bytes")
    return segments


def _judged(provider: Provider, place: _Place, method: str, segments: Sequence[str]) -> RelayPath:
    path = "/" + "/".join(segments)
    base = "".join(f"/{segment}" for segment in place.base)
    row = provider.row
    if method == "WS":
        for name, own in row.sockets.items():
            if path == base + own:
                return RelayPath(path, name, inference=True)
    if method == "POST":
        for name in row.formats:
            if path == _path_of(place, row.formats[name]):
                return RelayPath(path, name, inference=True)
    return RelayPath(path, None, inference=_is_inference(row, place, method, path, base))


def _is_inference(row: ProviderRow, place: _Place, method: str, path: str, base: str) -> bool:
    if row.models_path is not None and method in _READING:
        models = base + row.models_path
        if path == models or path.startswith(models + "/"):
            return True
    mount = "".join(f"/{segment}" for segment in place.mount)
    for entry in row.relay_paths:
        wanted, _, pattern = entry.rpartition(" ")
        start = mount if pattern.startswith("/") else f"{base}/"
        methods = _READING if wanted == "GET" else {wanted or "POST"}
        if method in methods and path.startswith(start) and fnmatchcase(path[len(start) :], pattern):
            return True
    return False


def _names_credential(part: str) -> bool:
    """Whether a parameter is a credential, or hides one behind a semicolon, which some servers read as a separator."""
    names = (piece.partition("=")[0].replace("+", " ") for piece in part.split(";"))
    return any(unquote(name).strip().lower() in _CREDENTIALS for name in names)
