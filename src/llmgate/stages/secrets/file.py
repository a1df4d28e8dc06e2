"""Secrets from files, as Docker and Kubernetes mount them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import attrs

from llmgate.spec import Secret, SecretNotFoundError, SecretRef, SecretStore, StageContext

from .watched_file import FileRefusedError, WatchedFile

__all__ = ["File", "FileConfig"]

_MAX_FILES: Final = 1000
"""Files watched at once; beyond it the one asked for first is forgotten, and read again when it is asked for."""


def _positive(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must be above 0, not {value}")


@attrs.frozen
class FileConfig:
    """The config of ``file``.

    Args:
        directory: The directory that holds the secrets, one file each, such as ``/run/secrets``; ``file:openai`` is the
            file ``openai`` in it, and nothing outside it is read. None: a reference is a path, absolute or relative to
            the configuration.
        refresh: Seconds after which a file is looked at again.
        max_bytes: Upper bound of a file's size.
    """

    directory: str | None = None
    refresh: float = attrs.field(default=1.0, validator=attrs.validators.ge(0))
    max_bytes: int = attrs.field(default=64 * 1024, validator=_positive)


@attrs.define(eq=False)
class _Kept:
    """What was read last.

    Args:
        file: The file.
        secret: What was in it.
        looked: Monotonic seconds of the last look.
        emptied: Whether it was empty then: it is being written.
    """

    file: WatchedFile
    secret: Secret
    looked: float
    emptied: bool = False


class File(SecretStore[FileConfig]):
    """Reads each secret from a file of its own, and again when the file has changed or has been replaced.

    One line end at the end of a file is not part of the secret. A file that is found empty is believed to be so when it
    is looked at for the second time: whoever writes one in its place empties it first.
    """

    name = "file"
    config_class = FileConfig

    def __init__(self, config: FileConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._kept: dict[str, _Kept] = {}

    async def open(self, context: StageContext) -> None:
        """Get ready; the files are read when they are asked for."""
        self._context = context

    async def aclose(self) -> None:
        """Forget what was read."""
        self._context = None
        self._kept.clear()

    async def fetch(self, ref: SecretRef) -> Secret:
        """The file's content.

        Raises:
            SecretNotFoundError: the file is not there, cannot be read, is empty, too large or not text, or lies outside
                the directory.
        """
        context = self._context
        if context is None:
            raise SecretNotFoundError(f"{ref} cannot be read: its secret store is not open")
        now = context.clock.monotonic()
        kept = self._kept.get(ref.path)
        if kept is not None and now - kept.looked < self.config.refresh:
            return kept.secret
        path = self._path(ref, context)
        file = kept.file if kept is not None else WatchedFile(path, self.config.max_bytes)
        try:
            # The link may have been turned elsewhere since the last look.
            file.path = path
            file.refresh()
            if kept is not None and not file.content and not kept.emptied:
                kept.looked, kept.emptied = now, True
                return kept.secret
            secret = Secret(value=_text(ref, path, file.content), ref=ref, version=file.version)
        except FileNotFoundError:
            self._kept.pop(ref.path, None)
            raise SecretNotFoundError(f"{ref}: there is no file {path}; create it") from None
        except FileRefusedError as error:
            raise SecretNotFoundError(f"{ref}: {error}; put the secret into a small plain file") from None
        except OSError as error:
            raise SecretNotFoundError(
                f"{ref}: {path} cannot be read: {error.strerror}; make it readable for the gateway"
            ) from None
        if len(self._kept) >= _MAX_FILES and ref.path not in self._kept:
            del self._kept[next(iter(self._kept))]
        self._kept[ref.path] = _Kept(file, secret, now)
        return secret

    async def refresh(self, ref: SecretRef) -> Secret:
        """The file's content, looked at now.

        Raises:
            SecretNotFoundError: as for ``fetch``.
        """
        kept = self._kept.get(ref.path)
        if kept is not None:
            kept.looked = -math.inf
        return await self.fetch(ref)

    def _path(self, ref: SecretRef, context: StageContext) -> Path:
        """The real path of the file behind a reference, every link followed.

        Raises:
            SecretNotFoundError: it lies outside the configured directory, or is no path at all.
        """
        try:
            if self.config.directory is None:
                return (context.directory / ref.path).resolve()
            directory = (context.directory / self.config.directory).resolve()
            if ".." in Path(ref.path).parts:
                raise SecretNotFoundError(f"{ref} leads outside {directory}; write the name of a file in it")
            path = (directory / ref.path).resolve()
        except (ValueError, RuntimeError, OSError):
            # A NUL character, or links that lead in a circle.
            raise SecretNotFoundError(f"{ref} is not the path of a file") from None
        if not path.is_relative_to(directory) or path == directory:
            raise SecretNotFoundError(f"{ref} leads outside {directory}; write the name of a file in it")
        return path


def _text(ref: SecretRef, path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SecretNotFoundError(f"{ref}: {path} is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not text:
        raise SecretNotFoundError(f"{ref}: {path} is empty; put the secret into it")
    return text
