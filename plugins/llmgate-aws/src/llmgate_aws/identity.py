"""Who the gateway is to AWS: what AWS's own tools would find, looked for beside the event loop."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import botocore.exceptions
import botocore.session

from llmgate.codecs.aws_keys import Keys, keys_in
from llmgate.spec import Secret, SecretCache, SecretCaching, SecretRef, SecretUnavailableError, StageContext

from .config import AwsConfig, S3Config

__all__ = ["Identity"]

_LOOK_AGAIN: Final = 30.0
"""Seconds after which the chain is asked again; botocore itself renews what ends soon, and keeps the rest."""
_REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")


class Identity:
    """AWS's credentials and region.

    Args:
        config: The keys of the stage.
        context: What the store was opened with.
    """

    def __init__(self, config: AwsConfig | S3Config, context: StageContext) -> None:
        self._config = config
        self._context = context
        self._session: Any = None
        caching = SecretCaching(refresh=_LOOK_AGAIN, stale=0, patience=0, timeout=config.identity_timeout)
        self._cache = SecretCache(self._found, caching, context.clock)

    async def keys(self, ref: SecretRef) -> Keys:
        """What to sign with.

        Args:
            ref: Which secret it is for.

        Raises:
            SecretUnavailableError: there is nothing.
        """
        if self._config.credentials is not None:
            found = await self._context.fetch_secret(self._config.credentials)
        else:
            found = await self._cache.fetch(SecretRef(ref.store, "identity"))
        try:
            return Keys.of_text(found.reveal())
        except ValueError as error:
            raise SecretUnavailableError(f"{ref}: the credential {found.ref} cannot sign: {error}") from None

    async def region(self, ref: SecretRef) -> str:
        """The region that is asked first.

        Raises:
            SecretUnavailableError: nobody says which.
        """
        environment = self._context.environment
        region = self._config.region or next((environment[name] for name in _REGIONS if environment.get(name)), None)
        if region is None:
            region = await asyncio.to_thread(self._region_of_the_profile)
        if region is None:
            raise SecretUnavailableError(f"{ref}: nobody says in which region it is: write region, or set AWS_REGION")
        return region

    async def aclose(self) -> None:
        """Forget what was found."""
        await self._cache.aclose()
        self._session = None

    async def _found(self, ref: SecretRef) -> Secret:
        try:
            keys = keys_in(self._context.environment) if self._config.profile is None else None
            if keys is None:
                keys = await asyncio.to_thread(self._look)
        except ValueError as error:
            reason = str(error)
        except botocore.exceptions.BotoCoreError as error:
            reason = f"AWS's tools refuse them ({type(error).__name__}): check the profile or the role"
        else:
            if keys is not None:
                return Secret(keys.to_text(), ref=ref)
            reason = (
                "there are no credentials of AWS's: give the gateway a role or a profile, or set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            )
        raise SecretUnavailableError(f"{ref}: {reason}")

    def _look(self) -> Keys | None:
        """Ask botocore, in a thread; it may read files and call services, and renews what ends soon."""
        if self._session is None:
            self._session = self._made()
        credentials = self._session.get_credentials()
        if credentials is None:
            self._session = None  # a session remembers that it has found nothing
            return None
        frozen = credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or None)

    def _region_of_the_profile(self) -> str | None:
        try:
            region: str | None = self._made().get_config_variable("region")
        except botocore.exceptions.BotoCoreError:
            return None
        return region

    def _made(self) -> Any:
        session = botocore.session.Session(profile=self._config.profile)
        session.set_config_variable("metadata_service_timeout", 1.0)
        session.set_config_variable("metadata_service_num_attempts", 1)
        return session
