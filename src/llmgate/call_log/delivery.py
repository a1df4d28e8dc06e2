"""How one call is brought to a gateway: a connection that is kept, and what an answer means."""

from __future__ import annotations

import enum
import http.client
import ssl
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

import attrs

__all__ = ["Delivery", "Line", "Reply", "Verdict"]

PATH: Final = "/v1/log/request"
_MOST_BYTES: Final = 64 * 1024
_MOST_TEXT: Final = 300
_MOST_CHARACTERS: Final = 2048
_OK: Final = range(200, 300)
_AWAY: Final = frozenset({408, 425, 429, 502, 503, 504})
_SERVER_ERROR: Final = 500


def _positive(_delivery: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name} must be more than 0, not {value}")


@attrs.frozen(kw_only=True)
class Delivery:
    """How calls are brought to a gateway, and what may wait for it.

    Args:
        max_calls: Calls that may wait; further ones are dropped and counted.
        max_bytes: Bytes that these may take.
        connections: Calls that are sent at the same time.
        timeout: Seconds that connecting, and each wait for the gateway, may take.
        first_wait: Seconds before the first repeat; each further wait is twice as long.
        longest_wait: Seconds up to which a wait grows, also one that the gateway asks for.
        max_age: Seconds after which a call that could not be brought is dropped.
        exit_timeout: Seconds for which the end of the program waits for what is left.
        tls: How the gateway's certificate is checked; None for the system's authorities.
    """

    max_calls: int = attrs.field(default=1000, validator=_positive)
    max_bytes: int = attrs.field(default=16 * 1024**2, validator=_positive)
    connections: int = attrs.field(default=2, validator=_positive)
    timeout: float = attrs.field(default=10.0, validator=_positive)
    first_wait: float = attrs.field(default=0.5, validator=_positive)
    longest_wait: float = attrs.field(default=30.0, validator=_positive)
    max_age: float = attrs.field(default=3600.0, validator=_positive)
    exit_timeout: float = attrs.field(default=5.0, validator=_positive)
    tls: ssl.SSLContext | None = None


class Verdict(enum.Enum):
    """What becomes of a call after a try."""

    TAKEN = "taken"
    LATER = "later"
    """The gateway is away or busy: it is told again, for as long as it may wait."""
    BROKEN = "broken"
    """The gateway failed at it, which may be the call's own doing: it is told again a few times."""
    REFUSED = "refused"


@attrs.frozen
class Reply:
    """What came of a try.

    Args:
        verdict: What becomes of the call.
        says: What the gateway, or the connection, says, for the log.
        retry_after: Seconds that the gateway asks to wait for; 0 for none.
    """

    verdict: Verdict
    says: str = ""
    retry_after: float = 0.0

    @classmethod
    def of(cls, status: int, retry_after: str | None, text: bytes) -> Self:
        """What an answer of the gateway means."""
        if status in _OK:
            return cls(Verdict.TAKEN)
        says = f"{status} {text[:_MOST_TEXT].decode('utf-8', 'replace')}".strip()
        if status in _AWAY:
            return cls(Verdict.LATER, says, _seconds(retry_after))
        return cls(Verdict.BROKEN if status >= _SERVER_ERROR else Verdict.REFUSED, says)


class Line:
    """A connection to a gateway, made when it is needed and kept. For one thread at a time.

    Args:
        url: The gateway, ``https://gateway.example.com``; with a path where it is mounted below one.
        key: The key that the gateway knows the caller by; None for none.
        delivery: Times and trust.

    Raises:
        ValueError: the address or the key is none.
    """

    def __init__(self, url: str, key: str | None, delivery: Delivery) -> None:
        parts = _checked(url)
        self._delivery = delivery
        self._tls = delivery.tls
        self._host: str = parts.hostname or ""
        self._port = parts.port
        self._secure = parts.scheme == "https"
        self._path = parts.path.rstrip("/") + PATH
        self._headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "llmgate"}
        if key is not None:
            if not key.isascii() or not key.isprintable() or not 0 < len(key) <= _MOST_CHARACTERS:
                raise ValueError("the key must be of printable ASCII: take it as the gateway's operator gave it")
            self._headers["authorization"] = f"Bearer {key}"
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> Reply:
        """Tell one call; a connection that fails is a reply as well."""
        kept = self._connection is not None
        try:
            return self._send(body)
        except (http.client.HTTPException, OSError) as failure:
            self.close()
            if not (kept and isinstance(failure, ConnectionError | http.client.NotConnected)):
                return Reply(Verdict.LATER, f"{type(failure).__name__}: {failure}")
        try:  # the gateway had closed a connection that was kept, which says nothing of the gateway
            return self._send(body)
        except (http.client.HTTPException, OSError) as failure:
            self.close()
            return Reply(Verdict.LATER, f"{type(failure).__name__}: {failure}")

    def close(self) -> None:
        """Let the connection go; the next call makes another one. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, body: bytes) -> Reply:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", self._path, body, self._headers)
        response = self._connection.getresponse()
        text = response.read(_MOST_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return Reply.of(response.status, response.headers.get("retry-after"), text)

    def _connect(self) -> http.client.HTTPConnection:
        timeout = self._delivery.timeout
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)


def _checked(url: str) -> SplitResult:
    remedy = "write the gateway's own, for example https://gateway.example.com"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is no address of a gateway: {remedy}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(
            f"an address of a gateway has no user, query or fragment: {remedy}, and give the key beside it"
        )
    return parts


def _seconds(retry_after: str | None) -> float:
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return 0.0
    return float(retry_after[:6])
