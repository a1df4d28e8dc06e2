"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SecretCaching, SecretRef

__all__ = ["SCOPE", "AzureEntraConfig", "AzureKeyVaultConfig", "is_scope"]

SCOPE: Final = "https://cognitiveservices.azure.com/.default"

_SCOPE: Final = re.compile(r"(?:https|api)://[A-Za-z0-9._~/-]{1,256}/\.default")
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,256}")
_AUTHORITY: Final = re.compile(r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")


def is_scope(text: str) -> bool:
    """Whether a text is a scope as Entra ID writes it."""
    return _SCOPE.fullmatch(text) is not None


def _a_scope(_: object, __: Any, value: str) -> None:
    if not is_scope(value):
        raise ValueError(f"scope: write it as Entra ID does, {SCOPE} for example")


def _an_id(_: object, attribute: Any, value: str | None) -> None:
    if value is not None and not _ID.fullmatch(value):
        raise ValueError(f"{attribute.name.replace('_', '-')}: write the id as Entra ID shows it")


def _an_authority(_: object, __: Any, value: str | None) -> None:
    if value is not None and not _AUTHORITY.fullmatch(value):
        raise ValueError("authority: write https:// and a host, https://login.microsoftonline.us for example")


@attrs.frozen
class AzureEntraConfig:
    """The keys of ``azure-entra``.

    Args:
        credential: Who the gateway is: ``default`` tries what Microsoft's tools try, the others are one way each.
        tenant_id: The tenant; None for that of ``AZURE_TENANT_ID``.
        client_id: The application, or the user-assigned identity; None for that of ``AZURE_CLIENT_ID``.
        client_secret: Where the application's secret is kept; None for ``AZURE_CLIENT_SECRET``.
        token_file: The file with the cluster's token, for ``workload-identity``; None for that of
            ``AZURE_FEDERATED_TOKEN_FILE``.
        authority: Who gives tokens; None for that of ``AZURE_AUTHORITY_HOST``, else Microsoft's public cloud.
        instance_discovery: Whether Microsoft is asked if the authority is one of its own; not for a private one.
        scope: What the tokens of ``NAME:default`` are good for.
        ahead: Seconds before its end from which on a token is renewed, beside the requests that still use it.
        timeout: Seconds that getting a token may take.
        pause: Seconds for which nobody is asked again after a failure.
    """

    credential: Literal["default", "client-secret", "managed-identity", "workload-identity"] = "default"
    tenant_id: str | None = attrs.field(default=None, validator=_an_id)
    client_id: str | None = attrs.field(default=None, validator=_an_id)
    client_secret: SecretRef | None = None
    token_file: Path | None = None
    authority: str | None = attrs.field(default=None, validator=_an_authority)
    instance_discovery: bool = True
    scope: str = attrs.field(default=SCOPE, validator=_a_scope)
    ahead: float = attrs.field(default=300.0, validator=attrs.validators.ge(0))
    timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))
    pause: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))


_VAULT: Final = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?/?")


def _a_vault(_: object, field: Any, value: str) -> None:
    if not _VAULT.fullmatch(value):
        raise ValueError("vault: write its address, https://my-vault.vault.azure.net for example", field)
    if value.startswith("http:") and not _is_here(urlsplit(value).hostname or ""):
        raise ValueError("vault: tokens and secrets would go over the network without TLS: write https://", field)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen(kw_only=True)
class AzureKeyVaultConfig(AzureEntraConfig):
    """The keys of ``azure-key-vault``.

    Args:
        vault: The vault's address.
        credential: Who the gateway is: ``default`` tries what Microsoft's tools try, the others are one way each.
        tenant_id: The tenant; None for that of ``AZURE_TENANT_ID``.
        client_id: The application, or the user-assigned identity; None for that of ``AZURE_CLIENT_ID``.
        client_secret: Where the application's secret is kept; None for ``AZURE_CLIENT_SECRET``.
        token_file: The file with the cluster's token, for ``workload-identity``; None for that of
            ``AZURE_FEDERATED_TOKEN_FILE``.
        authority: Who gives tokens; None for that of ``AZURE_AUTHORITY_HOST``, else Microsoft's public cloud.
        instance_discovery: Whether Microsoft is asked if the authority is one of its own; not for a private one.
        scope: What the gateway's tokens are good for; another one in another cloud.
        ahead: Seconds before its end from which on a token is renewed.
        timeout: Seconds that getting a token may take.
        pause: Seconds for which nobody is asked for a token again after a failure.
        call_timeout: Seconds that the vault may take to answer.
        cache: How long secrets are kept.
    """

    vault: str = attrs.field(validator=_a_vault)
    scope: str = attrs.field(default="https://vault.azure.net/.default", validator=_a_scope)
    call_timeout: float = attrs.field(default=3.0, validator=attrs.validators.gt(0))
    cache: SecretCaching = SecretCaching(timeout=15.0)
