"""Secrets from environment variables and the ``.env`` file."""

from __future__ import annotations

import logging
from typing import Final

import attrs

from llmgate.codecs import dotenv
from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretStore, StageContext

from .watched_file import WatchedFile

__all__ = ["Env", "EnvConfig"]

log = logging.getLogger("llmgate.secrets")

_MAX_BYTES: Final = 1024 * 1024


@attrs.frozen
class EnvConfig:
    """The config of ``env``.

    Args:
        prefix: What is put before each name: with ``PROD_``, ``env:OPENAI_API_KEY`` is the variable
            ``PROD_OPENAI_API_KEY``.
        refresh: Seconds after which the ``.env`` file is looked at again.
    """

    prefix: str = ""
    refresh: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))


class Env(SecretStore[EnvConfig]):
    """Reads environment variables when they are asked for, and the ``.env`` file again when it has changed.

    A variable of the environment wins over the file. One that has in both the value it had in the file when the store
    was opened is taken to come from the file, since a host may have filled its environment from there.
    """

    name = "env"
    config_class = EnvConfig

    def __init__(self, config: EnvConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._file: WatchedFile | None = None
        self._values: dict[str, str] = {}
        self._at_open: dict[str, str] = {}
        self._given: dict[SecretRef, Secret] = {}
        """What was given last, while it has not changed: its fingerprint is a hash, and every request asks for it."""
        self._looked = 0.0
        self._emptied = False

    async def open(self, context: StageContext) -> None:
        """Read the ``.env`` file, if there is one."""
        self._context = context
        self._values = {}
        self._file = None if context.dotenv is None else WatchedFile(context.dotenv, _MAX_BYTES)
        self._refresh(context)
        self._at_open = dict(self._values)

    async def aclose(self) -> None:
        """Forget what was read."""
        self._context = None
        self._file = None
        self._values = {}
        self._at_open = {}
        self._given = {}

    async def fetch(self, ref: SecretRef) -> Secret:
        """The variable's value.

        Raises:
            SecretNotFoundError: it is not set, or empty.
        """
        variable = self.config.prefix + ref.path
        context = self._context
        if context is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        if self._file is not None and context.clock.monotonic() - self._looked >= self.config.refresh:
            self._refresh(context)
        value = context.environment.get(variable)
        version = ""
        if variable in self._values and (value is None or value == self._at_open.get(variable)):
            value = self._values[variable]
            version = self._file.version if self._file is not None else ""
        if not value:
            state = "is not set" if value is None else "is empty"
            raise SecretNotFoundError(f"{ref}: {variable} {state}; set the environment variable {variable}")
        known = self._given.get(ref)
        if known is None or known.reveal() != value or known.version != version:
            known = self._given[ref] = Secret(value=value, ref=ref, version=version)
        return known

    async def refresh(self, ref: SecretRef) -> Secret:
        """The variable's value, the file looked at now.

        Raises:
            SecretNotFoundError: it is not set, or empty.
        """
        if self._context is not None:
            self._refresh(self._context)
        return await self.fetch(ref)

    def _refresh(self, context: StageContext) -> None:
        """Read the file if it has changed; a file that cannot be read keeps the values that it had."""
        self._looked = context.clock.monotonic()
        if self._file is None:
            return
        try:
            read = self._file.refresh()
            emptied, self._emptied = self._emptied, not self._file.content
            # Whoever writes a file in its place empties it first: empty is what is empty at the second look.
            if (read or emptied) and (emptied or not self._emptied or not self._values):
                self._values = dict(dotenv.parse(self._file.content.decode("utf-8-sig")))
        except FileNotFoundError:
            self._values = {}
        except (OSError, ValueError) as error:
            log.warning("%s: %s keeps its last values: %s", context.id, self._file.path, _without_content(error))


def _without_content(error: Exception) -> str:
    """Why a file could not be read; a decoding error's own text would show what is in it."""
    return str(error) if isinstance(error, OSError) else f"it is not a .env file ({type(error).__name__})"
