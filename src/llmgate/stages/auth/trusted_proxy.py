"""Callers known by a reverse proxy, which says in headers who they are: a login of its own, or client certificates."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.spec import (
    SCOPES,
    AuthenticationError,
    AuthProvider,
    ConfigError,
    Credentials,
    Principal,
    SecretRef,
    StageContext,
    words_of,
)

__all__ = ["ProxyUser", "TrustedProxy", "TrustedProxyConfig"]

_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_HEADER: Final = re.compile(r"[a-z0-9-]{1,64}")
_CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "helicone-auth", "cookie", "host")
"""Headers that callers fill themselves."""
_LONGEST: Final = 512
_SHORTEST: Final = 16
"""Characters of the secret that proves a proxy."""


def _networks(_: object, field: attrs.Attribute[Any], values: Sequence[str]) -> None:
    if not values:
        raise ValueError("addresses: list the addresses of the proxies, for example 10.0.0.7 or 10.0.0.0/24", field)
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as wrong:
            raise ValueError(f"addresses: {wrong}", field) from None


def _a_header(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    if not _HEADER.fullmatch(value.lower()):
        raise ValueError(f"{field.name.replace('_', '-')}: {value!r} is no header's name", field)
    if value.lower() in _CREDENTIALS:
        raise ValueError(f"{field.name.replace('_', '-')}: callers fill {value!r} themselves: take another", field)


@attrs.frozen
class ProxyUser:
    """Somebody whom the proxy may name.

    Args:
        name: What the proxy calls it, exactly.
        models: Patterns (``fnmatch``) of the models it may call; None for all.
        scopes: Operations that it may ask for; None for all. With ``usage``, ``metrics`` or ``admin`` among them it
            sees what others have done, as far as each says.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    models: Sequence[str] | None = None
    scopes: Sequence[str] | None = attrs.field(default=None, validator=words_of(SCOPES))


@attrs.frozen
class TrustedProxyConfig:
    """The config of ``trusted-proxy``.

    Args:
        addresses: The addresses or networks of the proxies; from anywhere else the headers are refused.
        user_header: The header that names the caller.
        team_header: The header that names the caller's team; None for none.
        require: Headers that must have exactly these values, such as the one that says that a certificate was verified.
        secret_header: A header in which the proxy proves itself, where its address alone does not.
        secret: What must stand there.
        users: Who may be named; None for everybody whom the proxy lets through.
    """

    addresses: Sequence[str] = attrs.field(validator=_networks)
    user_header: str = attrs.field(default="x-forwarded-user", validator=_a_header)
    team_header: str | None = attrs.field(default=None, validator=_a_header)
    require: Mapping[str, str] = attrs.field(factory=dict)
    secret_header: str | None = attrs.field(default=None, validator=_a_header)
    secret: SecretRef | None = None
    users: Sequence[ProxyUser] | None = None

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if (self.secret_header is None) != (self.secret is None):
            raise ValueError("write both secret-header and secret, or neither")
        names = [user.name for user in self.users or ()]
        if len(names) != len(set(names)):
            raise ValueError("users: each name stands once")


class TrustedProxy(AuthProvider[TrustedProxyConfig]):
    """Believes listed proxies who a caller is.

    The proxy must set the headers on every request, whatever the caller sent: one that only adds to them lets callers
    name themselves. A name with a comma and a blank in it is refused, since two headers look like that.
    """

    name = "trusted-proxy"
    config_class = TrustedProxyConfig

    def __init__(self, config: TrustedProxyConfig) -> None:
        super().__init__(config)
        self._networks: Sequence[_Network] = tuple(ipaddress.ip_network(one) for one in config.addresses)
        self._user = config.user_header.lower()
        self._team = None if config.team_header is None else config.team_header.lower()
        self._require = {name.lower(): value for name, value in config.require.items()}
        self._known = None if config.users is None else {user.name: user for user in config.users}
        self._proof: bytes | None = None
        self._open = False

    async def open(self, context: StageContext) -> None:
        """Fetch what the proxy proves itself with.

        Raises:
            SecretNotFoundError: it is not there.
            ConfigError: it is too short.
        """
        if self.config.secret is not None:
            value = (await context.fetch_secret(self.config.secret)).reveal()
            if len(value) < _SHORTEST:
                raise ConfigError(
                    f"{context.id}: {self.config.secret} is too short to prove anything: "
                    f"put {_SHORTEST} characters of chance there, and into the proxy's configuration"
                )
            self._proof = value.encode("utf-8", "surrogatepass")
        self._open = True

    async def aclose(self) -> None:
        """Believe nobody."""
        self._open = False
        self._proof = None

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Whom the proxy names; None where nobody is named.

        Raises:
            AuthenticationError: somebody is named by who may not, or who may not be.
        """
        user = credentials.headers.get(self._user)
        if user is None:
            return None
        reason = self._refusal(credentials, user)
        if reason:
            raise AuthenticationError(reason=reason)
        listed = None if self._known is None else self._known[user]
        team = None if self._team is None else credentials.headers.get(self._team)
        return Principal(
            id=user,
            issuer=self.name,
            kind="user",
            models=None if listed is None else listed.models,
            scopes=None if listed is None else listed.scopes,
            attributes={} if team is None else {"team": team},
        )

    def _refusal(self, credentials: Credentials, user: str) -> str:
        """Why the header is not believed; ``""`` where it is."""
        headers = credentials.headers
        if not self._open:
            return f"{self.name} is not open"
        if not self._is_proxy(credentials.client_address):
            return f"{self._user} comes from {credentials.client_address[:64] or 'nowhere'}, which is no listed proxy"
        if self.config.secret_header is not None:
            shown = headers.get(self.config.secret_header.lower(), "").encode("utf-8", "surrogatepass")
            if self._proof is None or not hmac.compare_digest(shown, self._proof):
                return f"{self.config.secret_header} does not prove the proxy"
        for name, value in self._require.items():
            if headers.get(name) != value:
                return f"{name} is not as required"
        team = "" if self._team is None else headers.get(self._team, "")
        if not user or not (user + team).isprintable() or len(user) > _LONGEST or len(team) > _LONGEST:
            return f"{self._user} is no name"
        if ", " in user or ", " in team:
            return f"{self._user} looks like two headers: the proxy must replace what callers send"
        return "" if self._known is None or user in self._known else f"{self._user} names nobody who is listed"

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return any((mapped or parsed) in network for network in self._networks)
