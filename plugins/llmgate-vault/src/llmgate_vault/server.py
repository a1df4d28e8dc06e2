"""Vault's HTTP API with the gateway's own token: got by a login, renewed ahead of its end, got anew when it is refused.

Source: OpenBao, "HTTP API" (authentication, namespaces), "Token auth method", "AppRole", "Kubernetes" and "JWT/OIDC".
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.spec import (
    Secret,
    SecretCache,
    SecretRef,
    SecretService,
    SecretUnavailableError,
    ServiceAnswer,
    StageContext,
)

from .config import CLUSTER_TOKEN, VaultConfig

__all__ = ["VaultServer"]

log = logging.getLogger(__name__)

_TOKEN: Final = SecretRef("env", "VAULT_TOKEN")
_LARGEST_TOKEN: Final = 64 * 1024


@attrs.frozen
class _Login:
    """The token in use, and monotonic seconds at which it ends; None for never."""

    token: str = attrs.field(repr=False)
    end: float | None
    renewable: bool


class VaultServer:
    """Asks Vault.

    Args:
        config: The keys of the store.
        context: What the store was opened with.
        service: Where Vault is.
        namespace: The namespace, ``""`` for none.
    """

    def __init__(self, config: VaultConfig, context: StageContext, service: SecretService, namespace: str) -> None:
        self._config = config
        self._context = context
        self._service = service
        self._always = {"x-vault-request": "true", **({"x-vault-namespace": namespace} if namespace else {})}
        self._login: _Login | None = None
        self._tokens = SecretCache(self._token, config.cache, context.clock, renew=self._logged_in)

    async def ask(self, ref: SecretRef, method: str, path: str, body: Any = None) -> ServiceAnswer:
        """Make a call with the gateway's token; one that Vault refuses is made again with another token.

        Args:
            ref: Which secret it is for.
            method: The HTTP method.
            path: The path behind ``/v1/``, percent-encoded.
            body: What is sent as JSON; None for nothing.

        Raises:
            SecretUnavailableError: there is no answer, or no token.
        """
        token = await self._tokens.fetch(ref=self._name(ref))
        answer = await self._call(ref, method, path, body, token.reveal())
        if answer.status != 403 or await self._is_good(ref, token.reveal()):
            return answer
        other = await self._tokens.refresh(self._name(ref))
        return await self._call(ref, method, path, body, other.reveal())

    async def aclose(self) -> None:
        """Forget the token."""
        await self._tokens.aclose()
        self._login = None

    async def _is_good(self, ref: SecretRef, token: str) -> bool:
        """Whether a token that was refused is good, and only may not do this: then another would be refused, too."""
        return (await self._call(ref, "GET", "auth/token/lookup-self", None, token)).status == 200

    @staticmethod
    def _name(ref: SecretRef) -> SecretRef:
        """What the one token of the store is called in messages."""
        return SecretRef(ref.store, "login")

    async def _call(self, ref: SecretRef, method: str, path: str, body: Any, token: str | None) -> ServiceAnswer:
        headers = dict(self._always)
        if token is not None:
            headers["x-vault-token"] = token
        sent = None
        if body is not None:
            headers["content-type"] = "application/json"
            sent = json.dumps(body).encode()
        return await self._service.ask(ref, method, f"/v1/{path}", headers=headers, body=sent)

    async def _token(self, ref: SecretRef) -> Secret:
        """The token for longer, where Vault grants that; else another one."""
        login = self._login
        if login is None or not login.renewable or login.end is None or login.end <= self._context.clock.monotonic():
            return await self._logged_in(ref)
        left = login.end - self._context.clock.monotonic()
        answer = await self._call(ref, "POST", "auth/token/renew-self", {}, login.token)
        granted = answer.at("auth", "lease_duration")
        # A token that has reached its longest life is granted what is left of it.
        if answer.status != 200 or not isinstance(granted, int) or granted <= left + 1:
            return await self._logged_in(ref)
        return self._kept(ref, login.token, granted, renewable=True)

    async def _logged_in(self, ref: SecretRef) -> Secret:
        """Another token."""
        if self._config.method == "token":
            return await self._given(ref)
        mount = (self._config.auth_mount or self._config.method).strip("/")
        answer = await self._call(ref, "POST", f"auth/{mount}/login", await self._proof(ref), None)
        token, lifetime = answer.at("auth", "client_token"), answer.at("auth", "lease_duration")
        if answer.status != 200 or not isinstance(token, str) or not isinstance(lifetime, int):
            said = _first_error(answer)
            raise self._service.failed(ref, answer, f"the login by {self._config.method} is refused{said}")
        log.info("%s: logged in to Vault by %s", self._context.id, self._config.method)
        return self._kept(ref, token, lifetime, renewable=answer.at("auth", "renewable") is True)

    async def _given(self, ref: SecretRef) -> Secret:
        """The token that the operator gives; how long it is good only Vault knows."""
        token = (await self._context.fetch_secret(self._config.token or _TOKEN)).reveal().strip()
        answer = await self._call(ref, "GET", "auth/token/lookup-self", None, token)
        lifetime = answer.at("data", "ttl")
        if answer.status == 403:
            raise self._service.failed(ref, answer, f"the token {self._config.token or _TOKEN} is refused")
        if answer.status != 200 or not isinstance(lifetime, int):
            raise self._service.failed(ref, answer)
        return self._kept(ref, token, lifetime, renewable=answer.at("data", "renewable") is True)

    async def _proof(self, ref: SecretRef) -> dict[str, str]:
        """What a login shows."""
        config = self._config
        if config.method == "approle":
            proof = {"role_id": config.role_id or ""}
            if config.secret_id is not None:
                proof["secret_id"] = (await self._context.fetch_secret(config.secret_id)).reveal()
            return proof
        if config.jwt is not None:
            token = (await self._context.fetch_secret(config.jwt)).reveal()
        else:
            file = self._context.directory / (config.jwt_file or CLUSTER_TOKEN)
            try:
                token = await asyncio.to_thread(_read, file)
            except (OSError, UnicodeDecodeError) as error:
                raise SecretUnavailableError(
                    f"{ref}: the token {file} for the login cannot be read ({type(error).__name__}): mount it, or "
                    "write jwt-file"
                ) from None
        return {"role": config.role or "", "jwt": token.strip()}

    def _kept(self, ref: SecretRef, token: str, lifetime: int, *, renewable: bool) -> Secret:
        """The token as one that ends, if it does; root tokens do not."""
        now = self._context.clock.monotonic()
        self._login = _Login(token, now + lifetime if lifetime > 0 else None, renewable)
        return Secret(token, ref=ref, lifetime=float(lifetime) if lifetime > 0 else None)


def _read(file: Path) -> str:
    with file.open(encoding="utf-8") as text:
        return text.read(_LARGEST_TOKEN)


def _first_error(answer: ServiceAnswer) -> str:
    """What Vault says of a login that it refuses: one of its own sentences."""
    errors = answer.at("errors")
    said = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], str) else ""
    return f" ({said[:200]})" if said and said.isprintable() else ""
