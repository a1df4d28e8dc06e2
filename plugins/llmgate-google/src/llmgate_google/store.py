"""The secret store ``google-secrets``: Secret Manager, global or regional.

Source: Google, the discovery document of Secret Manager v1 (``projects.secrets.versions.access``), "Data integrity" and
"Regional secrets".
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

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
    split_field,
)

from .config import GoogleSecretsConfig
from .crc32c import crc32c
from .identity import Identity

__all__ = ["GoogleSecrets"]

_SHORT: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]{1,255})(?:@(?P<version>[A-Za-z0-9_-]{1,63}))?")
_WHOLE: Final = re.compile(
    r"projects/[a-z0-9.:-]{1,64}(?:/locations/[a-z0-9-]{1,32})?/secrets/[A-Za-z0-9_-]{1,255}"
    r"(?P<version>/versions/[A-Za-z0-9_-]{1,63})?"
)
_VARIABLE: Final = "GOOGLE_CLOUD_PROJECT"
_ROLE: Final = "the gateway's service account needs the role roles/secretmanager.secretAccessor on the secret"


class GoogleSecrets(SecretStore[GoogleSecretsConfig]):
    """``NAME:openai`` is the latest version of the secret ``openai``, ``NAME:openai@3`` its third."""

    name = "google-secrets"
    config_class = GoogleSecretsConfig

    def __init__(self, config: GoogleSecretsConfig) -> None:
        super().__init__(config)
        self._identity: Identity | None = None
        self._service: SecretService | None = None
        self._project = ""

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """Google is not asked yet: a gateway starts although it does not answer.

        Raises:
            ConfigError: nobody says in which project secrets are.
        """
        config = self.config
        self._project = config.project or context.environment.get(_VARIABLE) or ""
        if not self._project:
            raise ConfigError(f"{context.id}: project: write the project of the secrets, or set {_VARIABLE}")
        host = f"secretmanager.{config.location}.rep" if config.location else "secretmanager"
        address = config.endpoint or f"https://{host}.googleapis.com"
        self._service = SecretService("Secret Manager", address, context.transport, config.timeout)
        self._identity = Identity(config, context)

    async def aclose(self) -> None:
        """Forget the token."""
        identity, self._identity, self._service = self._identity, None, None
        if identity is not None:
            await identity.aclose()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The version of the secret, as it was written.

        Raises:
            SecretNotFoundError: there is no such secret, version or field, or the version is disabled or destroyed.
            SecretUnavailableError: Google does not answer, or refuses the gateway, or the secret came damaged.
        """
        service, identity = self._service, self._identity
        if service is None or identity is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        path, field = split_field(ref)
        name = self._version(ref, path)
        answer = await self._asked(service, identity, ref, name, anew=False)
        if answer.status == 401:
            answer = await self._asked(service, identity, ref, name, anew=True)
        if answer.status != 200:
            raise _failure(service, ref, answer)
        found = secret_field(ref, _payload(service, ref, answer), field)
        if not found:
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        return Secret(found, ref=ref, version=str(answer.at("name") or "").rpartition("/")[2])

    async def _asked(
        self, service: SecretService, identity: Identity, ref: SecretRef, name: str, *, anew: bool
    ) -> ServiceAnswer:
        token = await identity.token(ref, anew=anew)
        return await service.ask(ref, "GET", f"/v1/{name}:access", headers={"authorization": f"Bearer {token}"})

    def _version(self, ref: SecretRef, path: str) -> str:
        """The whole name of the version that a reference means."""
        whole = _WHOLE.fullmatch(path)
        if whole is not None:
            return path if whole["version"] else f"{path}/versions/{self.config.version}"
        short = _SHORT.fullmatch(path)
        if short is None:
            raise SecretNotFoundError(f"{ref}: write {ref.store}:NAME, or {ref.store}:NAME@VERSION")
        place = f"/locations/{self.config.location}" if self.config.location else ""
        version = short["version"] or self.config.version
        return f"projects/{self._project}{place}/secrets/{short['name']}/versions/{version}"


def _payload(service: SecretService, ref: SecretRef, answer: ServiceAnswer) -> str:
    """The text of a secret, once it is seen that it has come whole."""
    data, checksum = answer.at("payload", "data"), answer.at("payload", "dataCrc32c")
    try:
        # A secret without a byte comes without the field.
        content = base64.b64decode(data or "", validate=True)
        if checksum is not None and int(checksum) != crc32c(content):
            raise service.failed(ref, answer, "the secret does not agree with its checksum")
        return content.decode()
    except UnicodeDecodeError:
        raise SecretNotFoundError(f"{ref}: the secret is no text: keep it in UTF-8") from None
    except (TypeError, ValueError, binascii.Error):
        raise service.failed(ref, answer, "the secret cannot be read") from None


def _failure(service: SecretService, ref: SecretRef, answer: ServiceAnswer) -> SecretNotFoundError:
    """What an answer without a secret means; of Google's words only its status is told."""
    status = answer.at("error", "status")
    if status == "NOT_FOUND" or (answer.status == 404 and status is not None):
        return SecretNotFoundError(f"{ref}: Secret Manager has no such secret, or no such version of it: add it")
    if status == "FAILED_PRECONDITION":
        return SecretNotFoundError(f"{ref}: the version is disabled or destroyed: enable it, or add another")
    if status == "INVALID_ARGUMENT":
        return SecretNotFoundError(f"{ref}: this is no name of a secret or a version in Secret Manager")
    told = status if isinstance(status, str) and re.fullmatch(r"[A-Z_]{1,40}", status) else ""
    return service.failed(ref, answer, " ".join(one for one in (told, _ROLE if answer.status == 403 else "") if one))
