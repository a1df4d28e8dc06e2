"""The secret store: KV of both versions, and whatever else Vault answers a read with, leases included."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from llmgate.spec import (
    ConfigError,
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretService,
    SecretStore,
    SecretUnavailableError,
    ServiceAnswer,
    StageContext,
    secret_field,
)

from .config import VaultConfig, check_address
from .paths import Mount, VaultPath
from .server import VaultServer

__all__ = ["Vault"]

_ADDRESSES: Final = ("VAULT_ADDR", "BAO_ADDR")
_NAMESPACES: Final = ("VAULT_NAMESPACE", "BAO_NAMESPACE")


@attrs.frozen
class _Lease:
    """A dynamic secret: what it holds, and until when, in monotonic seconds."""

    id: str
    data: Mapping[str, Any] = attrs.field(repr=False)
    duration: float
    end: float
    renewable: bool


class Vault(SecretStore[VaultConfig]):
    """``NAME:kv/openai#api_key`` is a field of a secret in KV, ``NAME:database/creds/role#password`` one of a lease."""

    name = "vault"
    config_class = VaultConfig

    def __init__(self, config: VaultConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._server: VaultServer | None = None
        self._service: SecretService | None = None
        self._mounts: dict[str, Mount] = {}
        self._leases: dict[str, _Lease] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """Vault is not asked yet: a gateway starts although it does not answer.

        Raises:
            ConfigError: nobody says where Vault is, or its certificates cannot be read.
        """
        config = self.config
        address = config.address or _first(context.environment, _ADDRESSES)
        if not address:
            raise ConfigError(f"{context.id}: address: write where Vault is, or set VAULT_ADDR")
        try:
            address = check_address(address, clear=config.allow_clear_text)
            authorities = None if config.ca_file is None else (context.directory / config.ca_file).read_text()
        except OSError as error:
            raise ConfigError(f"{context.id}: ca-file: {config.ca_file} cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise ConfigError(f"{context.id}: {error}") from None
        self._service = SecretService("Vault", address, context.transport, config.timeout, authorities)
        namespace = config.namespace or _first(context.environment, _NAMESPACES)
        self._server = VaultServer(config, context, self._service, namespace.strip("/"))
        self._context = context

    async def aclose(self) -> None:
        """Forget secrets, leases and the token; leases end by themselves."""
        server, self._server = self._server, None
        self._context = None
        self._mounts.clear()
        self._leases.clear()
        self._turns.clear()
        if server is not None:
            await server.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The secret; that of a lease as it is, for as long as the lease can be renewed.

        Raises:
            SecretNotFoundError: Vault has no such secret, or no such field of it.
            SecretUnavailableError: Vault does not answer, or refuses the gateway.
        """
        return await self._found(ref, anew=False)

    async def refresh(self, ref: SecretRef) -> Secret:
        """The secret as Vault has it now; one of a lease is made anew.

        Raises:
            SecretNotFoundError: Vault has no such secret, or no such field of it.
            SecretUnavailableError: Vault does not answer, or refuses the gateway.
        """
        return await self._found(ref, anew=True)

    async def _found(self, ref: SecretRef, *, anew: bool) -> Secret:
        server, context = self._server, self._context
        if server is None or context is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        path = VaultPath.of(ref)
        # Fields of one lease belong together: one is made, whoever asks first.
        async with self._turns.setdefault(path.path, asyncio.Lock()):
            lease = self._leases.get(path.path)
            now = context.clock.monotonic()
            if lease is not None and not anew:
                if lease.end - now <= min(self.config.cache.ahead, lease.duration / 2):
                    lease = await self._renewed(server, ref, lease, now)
                if lease is not None and lease.end > now:
                    self._leases[path.path] = lease
                    return _secret(ref, path, lease.data, lifetime=lease.end - now)
            return await self._read(server, ref, path, now)

    async def _read(self, server: VaultServer, ref: SecretRef, path: VaultPath, now: float) -> Secret:
        mount = await self._mount(server, ref, path)
        answer = await server.ask(ref, "GET", path.request(mount))
        data = answer.at("data", "data") if mount.kv == 2 else answer.at("data")
        if answer.status != 200 or not isinstance(data, dict):
            raise self._failure(ref, path, mount, answer)
        if mount.kv:
            version = answer.at("data", "metadata", "version")
            return _secret(ref, path, data, version=str(version) if isinstance(version, int) else "")
        duration, lease_id = answer.at("lease_duration"), answer.at("lease_id")
        if not lease_id or not isinstance(duration, int) or duration <= 0:
            return _secret(ref, path, data)
        renewable = answer.at("renewable") is True
        self._leases[path.path] = _Lease(str(lease_id), data, duration, now + duration, renewable)
        return _secret(ref, path, data, lifetime=duration)

    async def _renewed(self, server: VaultServer, ref: SecretRef, lease: _Lease, now: float) -> _Lease | None:
        """The lease for longer; None where it has reached its longest life, so that another is to be made."""
        if not lease.renewable:
            return None
        answer = await server.ask(ref, "PUT", "sys/leases/renew", {"lease_id": lease.id})
        granted = answer.at("lease_duration")
        if answer.status != 200 or not isinstance(granted, int) or granted <= lease.end - now + 1:
            return None
        return attrs.evolve(lease, duration=granted, end=now + granted)

    async def _mount(self, server: VaultServer, ref: SecretRef, path: VaultPath) -> Mount:
        """The engine that answers for a path, as Vault tells or the operator says."""
        if self.config.kv != "auto":
            own = (self.config.kv_mount or path.path.partition("/")[0]).strip("/")
            if not path.path.startswith(f"{own}/"):
                raise SecretNotFoundError(f"{ref}: its path does not begin with the mount {own!r}: correct kv-mount")
            return Mount(own, int(self.config.kv))
        for mount in self._mounts.values():
            if path.path.startswith(f"{mount.path}/"):
                return mount
        answer = await server.ask(ref, "GET", f"sys/internal/ui/mounts/{quote(path.path, safe='/')}")
        found = answer.at("data", "path")
        if answer.status == 403:
            raise self._refused(ref, path.path)
        if answer.status != 200 or not isinstance(found, str):
            assert self._service is not None, "it is open"
            raise self._service.failed(ref, answer, _hint(answer))
        version = 0
        if answer.at("data", "type") in ("kv", "generic"):
            version = 2 if answer.at("data", "options", "version") == "2" else 1
        mount = self._mounts[found] = Mount(found.strip("/"), version)
        return mount

    def _failure(self, ref: SecretRef, path: VaultPath, mount: Mount, answer: ServiceAnswer) -> SecretNotFoundError:
        """What an answer without a secret means; a status alone says that there is none, or that nobody can say."""
        deleted = answer.at("data", "metadata", "deletion_time") or answer.at("data", "metadata", "destroyed")
        if deleted:
            return SecretNotFoundError(f"{ref}: its newest version has been deleted in Vault: write another")
        if answer.status == 404:
            self._mounts.pop(f"{mount.path}/", None)  # it may be mounted elsewhere, or as another version, by now
            return SecretNotFoundError(f"{ref}: Vault has no secret {path.path!r}: write it there")
        if answer.status == 403:
            return self._refused(ref, path.request(mount))
        assert self._service is not None, "it is open"
        return self._service.failed(ref, answer, _hint(answer))

    @staticmethod
    def _refused(ref: SecretRef, path: str) -> SecretUnavailableError:
        return SecretUnavailableError(
            f"{ref}: Vault does not let the gateway read {path}: there is no such mount, or its policy lacks "
            f'path "{path}" {{ capabilities = ["read"] }}'
        )


def _secret(
    ref: SecretRef, path: VaultPath, data: Mapping[str, Any], *, version: str = "", lifetime: float | None = None
) -> Secret:
    """The field that a reference means; the only one where it names none."""
    field = path.field
    if field is None and len(data) != 1:
        raise SecretNotFoundError(f"{ref}: the secret has {len(data)} fields: name one, {ref}#api_key for example")
    value = secret_field(ref, dict(data), next(iter(data)) if field is None else field)
    if not value:
        raise SecretNotFoundError(f"{ref} is empty: put a key there")
    return Secret(value, ref=ref, version=version, lifetime=lifetime)


def _hint(answer: ServiceAnswer) -> str:
    hints = {
        307: "it is not the active node: write the address of the one that is, or of a load balancer",
        400: "the path or the namespace is wrong",
        429: "it limits the gateway",
        503: "it is sealed, or being maintained",
    }
    return hints.get(answer.status, "")


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
