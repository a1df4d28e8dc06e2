"""The secret store ``kubernetes-secrets``: keys of secrets, fetched again when the cluster tells of a change."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from typing import Final

from llmgate.spec import (
    ConfigError,
    Secret,
    SecretCache,
    SecretNotFoundError,
    SecretRef,
    SecretService,
    SecretStore,
    SecretUnavailableError,
    StageContext,
    split_field,
)

from .cluster import Cluster
from .config import NAME, KubernetesSecretsConfig

__all__ = ["KubernetesSecrets"]

_PATH: Final = re.compile(rf"(?:(?P<namespace>{NAME})/)?(?P<name>{NAME})")
_KEY: Final = re.compile(r"[A-Za-z0-9._-]{1,253}")
_MOST_WATCHES: Final = 100
_RIGHTS: Final = 'its service account needs a role with the verbs "get" and "watch" on it'


class KubernetesSecrets(SecretStore[KubernetesSecretsConfig]):
    """``NAME:llm-keys#openai`` is a key of the secret ``llm-keys``, ``NAME:team-a/llm-keys#openai`` of another one.

    A secret is kept whole here, and not by the pipeline, since only the store learns of its changes.
    """

    name = "kubernetes-secrets"
    config_class = KubernetesSecretsConfig

    def __init__(self, config: KubernetesSecretsConfig) -> None:
        super().__init__(config)
        self._namespace = ""
        self._cluster: Cluster | None = None
        self._service: SecretService | None = None
        self._kept: SecretCache | None = None
        self._watches: dict[SecretRef, asyncio.Task[None]] = {}

    async def open(self, context: StageContext) -> None:
        """The cluster is not asked yet: a gateway starts although it does not answer.

        Raises:
            ConfigError: nobody says where the cluster is, or in which namespace; or its certificates cannot be read.
        """
        config = self.config
        address = config.address or _address(context)
        self._namespace = config.namespace or _own_namespace(config, context)
        authorities = None
        if config.ca_file is not None and address.startswith("https:"):
            try:
                authorities = (context.directory / config.ca_file).read_text(encoding="ascii")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{context.id}: ca-file: {config.ca_file}: {type(error).__name__}") from None
        self._service = SecretService("Kubernetes", address.rstrip("/"), context.transport, config.timeout, authorities)
        self._cluster = Cluster(self._service, context.directory / config.token_file, context.clock)
        self._kept = SecretCache(self._got, config.cache, context.clock)

    async def aclose(self) -> None:
        """End the watches and forget every secret."""
        watches, self._watches = list(self._watches.values()), {}
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        kept, self._kept = self._kept, None
        self._cluster = self._service = None
        if kept is not None:
            await kept.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The key of the secret.

        Raises:
            SecretNotFoundError: there is no such secret, or no such key in it.
            SecretUnavailableError: the cluster does not answer, or refuses the gateway.
        """
        kept, whole = self._open(ref)
        return _key_of(ref, await kept.fetch(whole))

    async def refresh(self, ref: SecretRef) -> Secret:
        """The key of the secret as the cluster has it now.

        Raises:
            SecretNotFoundError: there is no such secret, or no such key in it.
            SecretUnavailableError: the cluster does not answer, or refuses the gateway.
        """
        kept, whole = self._open(ref)
        return _key_of(ref, await kept.refresh(whole))

    def _open(self, ref: SecretRef) -> tuple[SecretCache, SecretRef]:
        """Where secrets are kept, and what the whole secret is called there."""
        if self._kept is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        path, key = split_field(ref)
        found = _PATH.fullmatch(path)
        if found is None or (key is not None and not _KEY.fullmatch(key)):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:SECRET#KEY, or {ref.store}:NAMESPACE/SECRET#KEY")
        return self._kept, SecretRef(ref.store, f"{found['namespace'] or self._namespace}/{found['name']}")

    async def _got(self, whole: SecretRef) -> Secret:
        """All keys of a secret, as one JSON object."""
        cluster, service = self._cluster, self._service
        if cluster is None or service is None:
            raise SecretUnavailableError(f"{whole} cannot be read: its secret store is not open")
        namespace, _, name = whole.path.partition("/")
        answer = await cluster.get(whole, namespace, name)
        if answer.status == 404:
            self._follow(cluster, whole)  # it may come
            raise SecretNotFoundError(f"{whole}: the cluster has no such secret: create it")
        if answer.status in (401, 403):
            raise service.failed(whole, answer, _RIGHTS)
        data = answer.at("data") or {}
        if answer.status != 200 or not isinstance(data, dict):
            raise service.failed(whole, answer)
        self._follow(cluster, whole)
        version = answer.at("metadata", "resourceVersion")
        return Secret(json.dumps(data), ref=whole, version=version if isinstance(version, str) else "")

    def _follow(self, cluster: Cluster, whole: SecretRef) -> None:
        """Watch a secret from now on."""
        kept = self._kept
        if not self.config.watch or whole in self._watches or len(self._watches) >= _MOST_WATCHES or kept is None:
            return
        namespace, _, name = whole.path.partition("/")
        watching = cluster.watch(whole, namespace, name, lambda: kept.outdate(whole))
        self._watches[whole] = asyncio.create_task(watching, name=f"watch {whole}")


def _key_of(ref: SecretRef, whole: Secret) -> Secret:
    """One key of a secret; the only one where the reference names none."""
    data = json.loads(whole.reveal())
    key = split_field(ref)[1]
    if key is None and len(data) != 1:
        raise SecretNotFoundError(f"{ref}: the secret has {len(data)} keys: name one, {ref}#api-key for example")
    found = data.get(next(iter(data)) if key is None else key)
    if not isinstance(found, str):
        raise SecretNotFoundError(f"{ref}: the secret has no key {key!r}: correct the name behind #")
    try:
        value = base64.b64decode(found, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise SecretNotFoundError(f"{ref}: the key is no text: keep it in UTF-8") from None
    # What `kubectl create secret --from-file` was given often ends its line.
    value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
    if not value:
        raise SecretNotFoundError(f"{ref} is empty: put a key there")
    return Secret(value, ref=ref, version=whole.version)


def _address(context: StageContext) -> str:
    """Where the pod is told that the API is."""
    host = context.environment.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise ConfigError(f"{context.id}: address: this is no pod, so write where the cluster's API is")
    port = context.environment.get("KUBERNETES_SERVICE_PORT") or "443"
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"


def _own_namespace(config: KubernetesSecretsConfig, context: StageContext) -> str:
    """The namespace of the pod, which stands beside its token."""
    file = (context.directory / config.token_file).parent / "namespace"
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{context.id}: namespace: this is no pod, so write the namespace of the secrets") from None
