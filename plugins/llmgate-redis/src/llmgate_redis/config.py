"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretRef, bounded

__all__ = ["RedisConfig", "check_address"]

_SCHEMES: Final = ("redis", "rediss", "unix")
_DATABASE: Final = re.compile(r"/?|/[0-9]{1,5}")
_PREFIX: Final = re.compile(r"[^{}\s\x00]{0,64}")
_CLIENT: Final = re.compile(r"[!-~]{1,64}")


def check_address(url: str) -> None:
    """Refuse an address that cannot be used, without showing any of it: it may hold a password.

    Raises:
        ValueError: it has another scheme, options, or a path that is not a database's number.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("url: write redis://host:port/0, rediss://host:port/0 (with TLS) or unix:///path")
    if parts.query or parts.fragment:
        raise ValueError("url: options behind ? are not read; each has a key of its own")
    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ValueError("url: write the path of the socket, unix:///run/redis.sock for example")
    elif not parts.hostname or not _DATABASE.fullmatch(parts.path) or _port_is_wrong(url):
        raise ValueError("url: write redis://host:port/0, where 0 is the number of the database")


def _port_is_wrong(url: str) -> bool:
    try:
        return urlsplit(url).port == 0
    except ValueError:
        return True


def _an_address_without_a_password(_: object, field: attrs.Attribute[Any], url: str) -> None:
    # The field beside the message lets the configuration's reader name the line.
    try:
        check_address(url)
    except ValueError as wrong:
        raise ValueError(str(wrong), field) from None
    if "@" in urlsplit(url).netloc:
        raise ValueError(
            "url: names and passwords do not stand in the address: write username, and password: env:NAME", field
        )


def _a_prefix(_: object, field: attrs.Attribute[Any], prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("prefix: at most 64 characters without braces or blanks", field)


def _a_client_name(_: object, field: attrs.Attribute[Any], name: str) -> None:
    if not _CLIENT.fullmatch(name):
        raise ValueError("client-name: 1 to 64 visible ASCII characters", field)


@attrs.frozen
class RedisConfig:
    """The keys of ``redis``.

    Args:
        url: Where the server is: ``redis://host:port/database``, ``rediss://`` for TLS, or ``unix:///path``.
        url_from: A reference to the whole address instead, which may then hold a name and a password.
        username: Who logs in, where the server knows users.
        password: A reference to the password; it is fetched for each new connection, so it may be rotated.
        ca_file: Certificates that a server with TLS is checked against; None for those of the system.
        certificate_file: The client's own certificate, where the server wants one.
        key_file: The key of that certificate.
        prefix: What the name of every key and channel begins with. Gateways with the same prefix share their state.
        timeout: Seconds that one call may take, connecting included.
        open_timeout: Seconds that the first connection may take when the gateway starts.
        max_connections: Connections that a process holds for calls; one more listens to channels.
        once_ttl: Seconds for which a word given as ``once`` is remembered.
        subscriber_queue: Messages that may wait for one subscriber.
        breaker_failures: Failures in a row after which calls fail at once; one that waits in vain is enough.
        breaker_pause: Seconds from the first trial of a server that failed to the next; doubled with each that fails.
        breaker_longest_pause: Seconds beyond which that pause does not grow.
        client_name: What ``CLIENT LIST`` calls the gateway's connections.
    """

    url: str = attrs.field(default="redis://127.0.0.1:6379/0", validator=_an_address_without_a_password)
    url_from: SecretRef | None = None
    username: str | None = None
    password: SecretRef | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    prefix: str = attrs.field(default="llmgate:", validator=_a_prefix)
    timeout: float = bounded(0.25, above=0, maximum=0.5)
    open_timeout: float = bounded(5.0, above=0, maximum=60)
    max_connections: int = bounded(32, minimum=1, maximum=10_000)
    once_ttl: float = bounded(3600.0, above=0, maximum=31 * 86400)
    subscriber_queue: int = bounded(1024, minimum=1, maximum=1_000_000)
    breaker_failures: int = bounded(3, minimum=1, maximum=1_000_000)
    breaker_pause: float = bounded(1.0, above=0, maximum=3600)
    breaker_longest_pause: float = bounded(10.0, above=0, maximum=3600)
    client_name: str = attrs.field(default="llmgate", validator=_a_client_name)
