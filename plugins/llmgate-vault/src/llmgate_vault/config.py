"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretCaching, SecretRef

__all__ = ["CLUSTER_TOKEN", "VaultConfig", "check_address"]

CLUSTER_TOKEN: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

_PATH: Final = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*/?")


def check_address(address: str, *, clear: bool) -> str:
    """An address without the slashes at its end.

    Args:
        address: What was written.
        clear: Whether it may be one without TLS beyond this machine.

    Raises:
        ValueError: it cannot be used, or would be called without TLS.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("address: write https://HOST:PORT, where Vault is")
    if parts.scheme == "http" and not clear and not _is_here(parts.hostname):
        raise ValueError(
            "address: tokens and secrets would go over the network without TLS: write https://, or "
            "allow-clear-text: true where the network is trusted"
        )
    return address.rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _a_path(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not _PATH.fullmatch(value):
        raise ValueError(f"{field.name.replace('_', '-')}: write it as Vault shows it, without a slash in front", field)


@attrs.frozen
class VaultConfig:
    """The keys of ``vault``.

    Args:
        address: Where Vault is; None for that of ``VAULT_ADDR`` or ``BAO_ADDR``.
        namespace: The namespace of mounts and logins; None for that of ``VAULT_NAMESPACE``, if any.
        method: How the gateway logs in.
        auth_mount: Where the method is mounted; None for the method's own name.
        token: Where the token of the method ``token`` is kept; None for ``env:VAULT_TOKEN``.
        role: The role of the methods ``kubernetes`` and ``jwt``.
        role_id: The role's id, for ``approle``.
        secret_id: Where the secret id is kept, for ``approle``; None for a role that wants none.
        jwt: Where the token of the method ``jwt`` is kept; None for that of ``jwt-file``.
        jwt_file: The file with the token of ``jwt`` or ``kubernetes``; it is read for each login. None for that of the
            cluster.
        kv: Which version of the KV engine answers; ``auto`` asks Vault, which any token that may read a secret may.
        kv_mount: Where the KV engine is mounted, where that is not asked; None for the first part of a path.
        ca_file: Certificates that Vault's is checked against; None for those of the system.
        allow_clear_text: Whether Vault may be called without TLS on another machine.
        timeout: Seconds that one call may take.
        cache: How long secrets are kept.
    """

    address: str | None = None
    namespace: str | None = attrs.field(default=None, validator=_a_path)
    method: Literal["token", "approle", "kubernetes", "jwt"] = "token"
    auth_mount: str | None = attrs.field(default=None, validator=_a_path)
    token: SecretRef | None = None
    role: str | None = None
    role_id: str | None = attrs.field(default=None, repr=False)
    secret_id: SecretRef | None = None
    jwt: SecretRef | None = None
    jwt_file: Path | None = None
    kv: Literal["auto", "1", "2"] = "auto"
    kv_mount: str | None = attrs.field(default=None, validator=_a_path)
    ca_file: Path | None = None
    allow_clear_text: bool = False
    timeout: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    cache: SecretCaching = SecretCaching()

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if self.address is not None:
            check_address(self.address, clear=self.allow_clear_text)
        if self.method == "approle" and not self.role_id:
            raise ValueError("role-id: the method approle needs the id of its role")
        if self.method in ("kubernetes", "jwt") and not self.role:
            raise ValueError(f"role: the method {self.method} needs the name of its role")
        if self.method == "jwt" and self.jwt is None and self.jwt_file is None:
            raise ValueError("jwt: the method jwt needs a token: write jwt, a reference, or jwt-file")
