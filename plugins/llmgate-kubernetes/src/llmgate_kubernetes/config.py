"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretCaching

__all__ = ["NAME", "KubernetesSecretsConfig"]

NAME: Final = r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?"
"""What Kubernetes takes for a name, as a regular expression (RFC 1123 subdomains)."""

_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def _a_namespace(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is not None and not re.fullmatch(NAME, value):
        raise ValueError("namespace: write it as Kubernetes does, lower-case letters, digits and hyphens", field)


def _an_address(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("address: write https://HOST:PORT, where the cluster's API is", field)
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError("address: tokens and secrets would go over the network without TLS: write https://", field)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen
class KubernetesSecretsConfig:
    """The keys of ``kubernetes-secrets``.

    Args:
        namespace: The namespace of secrets whose reference names none; None for that of the pod.
        address: Where the cluster's API is; None for what the pod is told.
        token_file: The service account's token, which is read for each call, as it is exchanged every hour.
        ca_file: Certificates that the API's is checked against; None for those of the system.
        watch: Whether changes are told by the API as they happen; otherwise they are noticed after ``cache.refresh``.
        timeout: Seconds that one call may take.
        cache: How long secrets are kept.
    """

    namespace: str | None = attrs.field(default=None, validator=_a_namespace)
    address: str | None = attrs.field(default=None, validator=_an_address)
    token_file: Path = _POD / "token"
    ca_file: Path | None = _POD / "ca.crt"
    watch: bool = True
    timeout: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    cache: SecretCaching = SecretCaching()
