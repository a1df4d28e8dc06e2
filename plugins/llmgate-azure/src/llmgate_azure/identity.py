"""Who the gateway is, in the classes of Microsoft's library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from azure.identity import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from .config import AzureEntraConfig

__all__ = ["Identity"]

_TENANT: Final = "AZURE_TENANT_ID"
_CLIENT: Final = "AZURE_CLIENT_ID"
_FILE: Final = "AZURE_FEDERATED_TOKEN_FILE"
_AUTHORITY: Final = "AZURE_AUTHORITY_HOST"
_RETRIES: Final = 1
"""Repeats of each call of the library's; its own many would go on for minutes after nobody waits any more."""


@attrs.frozen
class Identity:
    """What the configuration and the gateway's environment say of the gateway itself.

    Args:
        config: The keys of the store.
        environment: The gateway's environment variables, ``.env`` included.
        directory: What a relative path is relative to.
        client_secret: The application's secret; None where there is none.
    """

    config: AzureEntraConfig
    environment: Mapping[str, str] = attrs.field(repr=False)
    directory: Path
    client_secret: str | None = attrs.field(default=None, repr=False)

    def make(self) -> Any:
        """A new credential, which has nothing in its cache.

        Raises:
            ValueError: the configuration lacks something; the message names it.
        """
        match self.config.credential:
            case "client-secret":
                return self._client_secret()
            case "managed-identity":
                return ManagedIdentityCredential(client_id=self._client, **self._bounds())
            case "workload-identity":
                return self._workload()
            case _:
                return self._default()

    def _default(self) -> Any:
        """What Microsoft's tools try one after the other; the gateway's own environment comes first."""
        if self._tenant and self._client and self.client_secret:
            return self._client_secret()
        options: dict[str, Any] = {**self._endpoint(), "process_timeout": max(1, int(self.config.timeout))}
        if self._client is not None:
            options["managed_identity_client_id"] = options["workload_identity_client_id"] = self._client
        if self._tenant is not None:
            options["workload_identity_tenant_id"] = self._tenant
        return DefaultAzureCredential(**options)

    def _client_secret(self) -> Any:
        tenant = _given(self._tenant, "tenant-id", _TENANT)
        client = _given(self._client, "client-id", _CLIENT)
        secret = _given(self.client_secret, "client-secret", "AZURE_CLIENT_SECRET")
        return ClientSecretCredential(tenant, client, secret, **self._endpoint())

    def _workload(self) -> Any:
        written = self.config.token_file or self.environment.get(_FILE) or None
        file = _given(written and str(written), "token-file", _FILE)
        return WorkloadIdentityCredential(
            tenant_id=_given(self._tenant, "tenant-id", _TENANT),
            client_id=_given(self._client, "client-id", _CLIENT),
            token_file_path=str(self.directory / file),
            **self._endpoint(),
        )

    @property
    def _tenant(self) -> str | None:
        return self.config.tenant_id or self.environment.get(_TENANT) or None

    @property
    def _client(self) -> str | None:
        return self.config.client_id or self.environment.get(_CLIENT) or None

    def _endpoint(self) -> dict[str, Any]:
        options = self._bounds()
        authority = self.config.authority or self.environment.get(_AUTHORITY)
        if authority:
            options["authority"] = authority
        if not self.config.instance_discovery:
            options["disable_instance_discovery"] = True
        return options

    def _bounds(self) -> dict[str, Any]:
        timeout = self.config.timeout
        return {"connection_timeout": timeout, "read_timeout": timeout, "retry_total": _RETRIES}


def _given(value: str | None, key: str, variable: str) -> str:
    if not value:
        raise ValueError(f"write {key}, or set {variable}")
    return value
