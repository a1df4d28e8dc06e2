"""What the stores of AWS have in common: a service that is opened, asked and closed."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from llmgate.spec import (
    Secret,
    SecretCaching,
    SecretNotFoundError,
    SecretRef,
    SecretStore,
    SecretUnavailableError,
    StageContext,
    secret_field,
)

from .config import AwsConfig
from .service import AwsService

__all__ = ["AwsStore"]

C = TypeVar("C", bound=AwsConfig)


class AwsStore(SecretStore[C]):
    """A store of one service.

    Attributes:
        title: What messages call the service.
        code: What AWS calls it, in addresses and signatures.
    """

    title: ClassVar[str]
    code: ClassVar[str]

    def __init__(self, config: C) -> None:
        super().__init__(config)
        self._service: AwsService | None = None

    @property
    def caching(self) -> SecretCaching:
        """How long the pipeline keeps secrets."""
        return self.config.cache

    async def open(self, context: StageContext) -> None:
        """AWS is not asked yet: a gateway starts although it does not answer."""
        self._service = AwsService(self.title, self.code, self.config, context)

    async def aclose(self) -> None:
        """Forget the credentials."""
        service, self._service = self._service, None
        if service is not None:
            await service.aclose()

    def opened(self, ref: SecretRef) -> AwsService:
        """The service.

        Raises:
            SecretUnavailableError: the store is not open.
        """
        if self._service is None:
            raise SecretUnavailableError(f"{ref} cannot be read: its secret store is not open")
        return self._service

    @staticmethod
    def secret(ref: SecretRef, value: str, field: str | None, version: object) -> Secret:
        """The secret that AWS has given.

        Raises:
            SecretNotFoundError: it has no such field, or nothing is in it.
        """
        found = secret_field(ref, value, field)
        if not found:
            raise SecretNotFoundError(f"{ref} is empty: put a key there")
        return Secret(found, ref=ref, version=str(version or ""))
