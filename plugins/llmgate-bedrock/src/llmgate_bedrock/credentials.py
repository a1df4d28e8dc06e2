"""The secret store: what AWS's own tools would find, looked for beside the event loop and kept for a while."""

from __future__ import annotations

import asyncio
import re
from typing import Final

import botocore.exceptions
import botocore.session

from llmgate.codecs.aws_keys import Keys, keys_in
from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretStore, StageContext

from .config import AwsCredentialsConfig

__all__ = ["AwsCredentials"]

_DEFAULT: Final = "default"
_PROFILE: Final = re.compile(r"[A-Za-z0-9_.@+=,-]{1,128}")


class AwsCredentials(SecretStore[AwsCredentialsConfig]):
    """``NAME:default`` is what the chain of AWS's tools finds, ``NAME:PROFILE`` a profile of the shared files."""

    name = "aws-credentials"
    config_class = AwsCredentialsConfig

    def __init__(self, config: AwsCredentialsConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._sessions: dict[str, botocore.session.Session] = {}
        self._kept: dict[str, tuple[float, Secret]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def open(self, context: StageContext) -> None:
        """Nothing is looked for yet: a gateway starts although AWS's services do not answer."""
        self._context = context

    async def aclose(self) -> None:
        """Forget what was found."""
        self._context = None
        self._sessions.clear()
        self._kept.clear()
        self._locks.clear()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The credentials, looked at again after ``refresh`` seconds.

        Raises:
            SecretNotFoundError: there are none, or looking for them took too long.
        """
        context = self._context
        if context is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        if not _PROFILE.fullmatch(ref.path):
            raise SecretNotFoundError(f"{ref}: write {ref.store}:default, or the name of a profile of AWS's")
        kept = self._fresh(context, ref.path)
        if kept is not None:
            return kept
        async with self._locks.setdefault(ref.path, asyncio.Lock()):
            kept = self._fresh(context, ref.path)
            if kept is None:
                kept = Secret(value=(await self._found(context, ref)).to_text(), ref=ref)
                self._kept[ref.path] = (context.clock.monotonic(), kept)
            return kept

    def _fresh(self, context: StageContext, path: str) -> Secret | None:
        looked, secret = self._kept.get(path, (0.0, None))
        return secret if context.clock.monotonic() - looked < self.config.refresh else None

    async def _found(self, context: StageContext, ref: SecretRef) -> Keys:
        try:
            found = keys_in(context.environment) if ref.path == _DEFAULT else None
            if found is None:
                async with asyncio.timeout(self.config.timeout):
                    found = await asyncio.to_thread(self._look, ref.path)
        except TimeoutError:
            reason = f"looking for credentials took more than {self.config.timeout:g} seconds"
        except ValueError as error:
            reason = str(error)
        except botocore.exceptions.BotoCoreError as error:
            reason = f"AWS's tools refuse them ({type(error).__name__}): check the profile or the role"
        else:
            if found is not None:
                return found
            reason = (
                "there are no credentials of AWS's: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_ACCESS_KEY "
                "and AWS_SECRET_KEY are read too), or give the gateway a profile or a role"
            )
        raise SecretNotFoundError(f"{ref}: {reason}")

    def _look(self, profile: str) -> Keys | None:
        """Ask botocore, in a thread; it may read files, call services, and renew what ends soon."""
        session = self._sessions.get(profile)
        if session is None:
            session = botocore.session.Session(profile=None if profile == _DEFAULT else profile)
            session.set_config_variable("metadata_service_timeout", self.config.metadata_timeout)
            session.set_config_variable("metadata_service_num_attempts", 1)
        credentials = session.get_credentials()
        if credentials is None:
            return None
        self._sessions[profile] = session
        frozen = credentials.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or None)
