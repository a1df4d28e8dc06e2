"""What is refused before anything else looks at a request: ambiguous framing, ambiguous paths, foreign pages.

hypercorn and h11 let pass what a front proxy may read differently (both framing headers at once, underscores in header
names, escaped slashes), and loopback is not safe from browsers: any web page can send requests to it, and with a name
that it points at 127.0.0.1 even read the answers (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.types import Scope

from llmgate.config.model import GatewayConfig, ServerConfig

from .errors import RefusedError
from .reading import media_type

__all__ = ["Guard", "authenticates", "is_loopback"]

BAD_PATH: Final = re.compile(
    rb"""
      [\x00-\x20\x7f-\xff\\]                        # control bytes, spaces, non-ASCII, backslashes
    | //                                            # empty segments
    | /(?:\.|%2e){1,2}(?:/|$)                       # dot segments, escaped or not
    | %(?:[01][0-9a-f]|7f|2f|5c)                    # escaped control bytes, slashes, backslashes
    | %(?![0-9a-f]{2})                              # a percent sign that escapes nothing
    """,
    re.VERBOSE | re.IGNORECASE,
)
OPAQUE_TAIL: Final = re.compile(
    rb"/(?:[^%]+/)?(?:models/[^/]+|model/[^/]+/[a-z-]+|(?:engines|openai/deployments)/[^/]+/[a-z]+(?:/[a-z]+)?)"
)
"""Model names hold slashes, and the openai SDK, old and new, and AWS's escape them: here and only here ``%2f`` is part
of a name."""

HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")

SINGLE: Final = frozenset(
    {
        "api-key",
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "helicone-auth",
        "helicone-target-provider",
        "helicone-target-url",
        "host",
        "origin",
    }
    | {"transfer-encoding", "x-api-key", "x-goog-api-key"}
)
"""Headers of which two would let two readers believe two things."""

SIMPLE_TYPES: Final = frozenset({"", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
"""Content types that a page of another site can send without a preflight request."""

PROOFS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth", "x-request-id")
"""Headers that a page of another site can send only after a preflight request, which this gateway never grants."""


def authenticates(config: GatewayConfig) -> bool:
    """Whether callers must say who they are; a chain that ends with ``anonymous`` lets everybody in."""
    return bool(config.auth) and all(stage.use != "anonymous" for stage in config.auth)


def _read_oddly(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers of which some come twice, or have an underscore in their name."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1")
        if key in headers:
            if key in SINGLE:
                raise RefusedError(400, f"the header {key} is sent twice", code="duplicate_header", close=True)
            headers[key] += f", {value.decode('latin-1')}"
            continue
        if "_" in key:
            raise RefusedError(
                400,
                f"the header {key[:80]} has an underscore, which servers read differently: write it with a dash",
                code="invalid_header",
                close=True,
            )
        headers[key] = value.decode("latin-1")
    return headers


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Admits requests.

    Args:
        limits: The host's settings.
        trusting: Whether callers are served without saying who they are, so that foreign pages must be kept out; a
            function is asked each time, since a reload may change the answer.
        known: Paths that need no look, because they are the gateway's own, byte for byte.
        hosts: ``Host`` names that are served while authentication is off, beside loopback and those listed.
    """

    def __init__(
        self,
        limits: ServerConfig,
        *,
        trusting: bool | Callable[[], bool],
        known: Collection[bytes] = (),
        hosts: Collection[str] = (),
    ) -> None:
        self._limits = limits
        self._is_trusting = trusting if callable(trusting) else lambda: trusting
        self._known = frozenset(known)
        self._hosts = frozenset(host.strip("[]").rstrip(".").lower() for host in (*limits.hosts, *hosts))
        self._open = limits.allow_open
        self._last_host: str | None = None
        self._last_served: str | None = None

    @property
    def _trusting(self) -> bool:
        return self._is_trusting()

    def read_headers(self, scope: Scope) -> dict[str, str]:
        """The request's headers by lower-case name, once their number, size and names are found harmless.

        Raises:
            RefusedError: 400 or 431.
        """
        raw = scope["headers"]
        size = len(b"".join(map(b"".join, raw))) + 4 * len(raw)
        limits = self._limits
        if len(raw) > limits.max_headers or size > limits.max_header_bytes:
            raise RefusedError(
                431,
                f"the request has {len(raw)} headers of {size} bytes together; "
                f"{limits.max_headers} headers and {limits.max_header_bytes} bytes are allowed",
                code="headers_too_large",
                close=True,
            )
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        return headers if len(headers) == len(raw) and "_" not in "".join(headers) else _read_oddly(raw)

    def admit(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Refuse what cannot be served safely, whatever it asks for.

        Raises:
            RefusedError: naming what is wrong.
        """
        if "transfer-encoding" in headers:
            _check_framing(scope, headers)
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        if path not in self._known:
            _check_path(path)
        host = headers.get("host")
        if host is not None and host != self._last_host:
            if HOST.fullmatch(host) is None:
                raise RefusedError(400, "the Host header is not a host name", code="invalid_host", close=True)
            self._last_host = host

    def keep_foreign_pages_out(self, headers: Mapping[str, str]) -> None:
        """While nobody has to log in: refuse requests that a web page of another site made.

        Raises:
            RefusedError: 403, naming the header that gave it away and the setting that allows it.
        """
        if not self._trusting:
            return
        host = headers.get("host", "")
        if host == self._last_served and "origin" not in headers and "sec-fetch-site" not in headers:
            return
        match = HOST.fullmatch(host)
        name = match["name"].strip("[]").rstrip(".").lower() if match else ""
        if not self._serves(name):
            raise RefusedError(
                403,
                f"the Host {host[:120]!r} is not served while client authentication is off: call the gateway by a "
                "loopback name, list the name under server.hosts, or configure auth",
                code="host_not_allowed",
            )
        self._last_served = host
        if headers.get("sec-fetch-site") == "cross-site":
            raise _cross_site("Sec-Fetch-Site: cross-site")
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, name):
            raise _cross_site(f"Origin: {origin[:120]}")

    def keep_simple_requests_out(self, method: str, headers: Mapping[str, str]) -> None:
        """While nobody has to log in, and where not only JSON is taken: refuse what any web page could have sent.

        A page may send forms and plain text anywhere without asking first (Fetch standard, CORS-safelisted headers),
        and a browser that is old enough, or told not to, says neither ``Origin`` nor ``Sec-Fetch-Site``. What it can
        never send unasked is another content type, or one of ``PROOFS``; client libraries always send one of them.

        Raises:
            RefusedError: 403, naming a header that would do.
        """
        if not self._trusting or method != "POST" or media_type(headers) not in SIMPLE_TYPES:
            return
        if "origin" in headers or any(name in headers for name in PROOFS):
            return
        raise RefusedError(
            403,
            "while client authentication is off a form or plain text could come from a page of any site: send a header "
            "that no page can send unasked, for example `Authorization: Bearer none`, or configure auth",
            code="cross_site",
        )

    def _serves(self, name: str) -> bool:
        if is_loopback(name) or name in self._hosts:
            return True
        # Rebinding needs a name: an address in the Host header is one that the page really came from.
        return self._open and _is_address(name)

    def _same_site(self, origin: str, host: str) -> bool:
        try:
            parts = urlsplit(origin)
            name = (parts.hostname or "").rstrip(".").lower()
        except ValueError:
            return False
        if parts.scheme not in {"http", "https"} or not name:
            return False
        return name == host or is_loopback(name) or name in self._hosts


def _check_framing(scope: Scope, headers: Mapping[str, str]) -> None:
    """Two ways to say where the body ends are one too many (RFC 9112, section 6.1)."""
    if "content-length" in headers:
        raise RefusedError(
            400, "content-length and transfer-encoding are sent together", code="invalid_framing", close=True
        )
    if scope.get("http_version") == "1.0":
        raise RefusedError(400, "HTTP/1.0 knows no transfer-encoding", code="invalid_framing", close=True)


def _check_path(path: bytes) -> None:
    checked = path
    if OPAQUE_TAIL.fullmatch(path):
        checked = re.sub(rb"%2[fF]", b"-", path)
    if not path.startswith(b"/") or BAD_PATH.search(checked):
        raise RefusedError(
            400,
            "the path has dot segments, empty segments, escaped slashes or control bytes: write it plainly",
            code="invalid_path",
            close=True,
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cross_site(sign: str) -> RefusedError:
    return RefusedError(
        403,
        f"a page of another site may not call the gateway while client authentication is off ({sign}): "
        "call it from a server, list the page's host under server.hosts, or configure auth",
        code="cross_site",
    )
