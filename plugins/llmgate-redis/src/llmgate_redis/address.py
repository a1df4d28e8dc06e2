"""From the configuration to a function that makes connections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider

from llmgate.spec import PluginError, SecretRef, StageContext

from .config import RedisConfig, check_address

__all__ = ["Maker", "maker", "server_of"]

Maker: TypeAlias = Callable[[], AbstractConnection]


class _Login(CredentialProvider):
    """Fetches the password anew for each connection, so that it may be rotated while the gateway runs."""

    def __init__(self, username: str | None, password: SecretRef, context: StageContext) -> None:
        self._username = username
        self._password = password
        self._context = context

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        raise NotImplementedError("passwords are fetched asynchronously")

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        value = (await self._context.fetch_secret(self._password)).reveal()
        return (self._username, value) if self._username else (value,)


def server_of(url: str) -> str:
    """What messages call the server: its host and port, without a name or a password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"redis at {unquote(parts.path)}"
    return f"redis at {parts.hostname}:{parts.port or 6379}"


async def maker(config: RedisConfig, context: StageContext) -> tuple[str, Maker]:
    """What messages call the server, and what makes connections to it; nothing is connected yet.

    Raises:
        PluginError: the address is wrong.
        SecretNotFoundError: a reference leads nowhere.
    """
    url = config.url
    if config.url_from is not None:
        url = (await context.fetch_secret(config.url_from)).reveal()
        try:
            check_address(url)
        except ValueError as wrong:
            raise PluginError(f"{context.id}: {config.url_from}: {wrong}") from None
    options: dict[str, Any] = {
        "client_name": config.client_name,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),  # the caller's time is bounded here, and what may be repeated is known here
        "socket_timeout": None,
        "socket_connect_timeout": None,
    }
    if config.password is not None:
        await context.fetch_secret(config.password)
        options["credential_provider"] = _Login(config.username, config.password, context)
    elif config.username is not None:
        options["username"] = config.username
    if urlsplit(url).scheme == "rediss":
        options |= _tls(config, context.directory)
    pool = ConnectionPool.from_url(url, **options)
    return server_of(url), pool.make_connection


def _tls(config: RedisConfig, directory: Path) -> dict[str, Any]:
    """Certificates are always checked, and so is the name in them."""
    files = {
        "ssl_ca_certs": config.ca_file,
        "ssl_certfile": config.certificate_file,
        "ssl_keyfile": config.key_file,
    }
    options = {key: str(directory / path) for key, path in files.items() if path is not None}
    return {**options, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
