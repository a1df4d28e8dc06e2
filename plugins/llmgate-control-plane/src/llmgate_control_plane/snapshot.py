"""The keys on disk, so that a gateway which starts without its control plane serves those it knew before.

The file is its owner's alone and replaced as a whole. Its first line says what it is, the rest is JSON, sealed where a
key is given. There are hashes in it, as in the control plane's messages, and neither keys nor provider keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.codecs import jsons
from llmgate.spec import SharedKey

from .errors import MessageError
from .keys import read_key, written_key
from .seal import Seal, UnsealError

__all__ = ["Snapshot", "SnapshotError", "SnapshotFile"]

_KIND: Final = "llmgate-control-plane-snapshot"
_VERSION: Final = 1
_LARGEST: Final = 2 * 1024**3
_LONGEST_HEAD: Final = 4096
_OTHERS: Final = 0o077


class SnapshotError(Exception):
    """The file cannot be used; the message says why and what to do, and shows none of its content."""


@attrs.frozen
class Snapshot:
    """Keys at a time.

    Args:
        keys: The keys.
        known_at: Seconds since the epoch at which they were known to be good.
    """

    keys: Sequence[SharedKey]
    known_at: float


class SnapshotFile:
    """The file. Its methods block: call them in a thread.

    Args:
        path: Where it is.
        url: Which control plane its keys come from; those of another one are not taken.
        seal: What it is sealed with; None for not sealed.
    """

    def __init__(self, path: Path, url: str, seal: Seal | None) -> None:
        self.path = path
        self._url = url
        self._seal = seal

    def read(self) -> Snapshot | None:
        """What the file holds; None where there is none.

        Raises:
            SnapshotError: it cannot be used.
        """
        data = self._bytes()
        if data is None:
            return None
        head, newline, body = data.partition(b"\n")
        if not newline or len(head) > _LONGEST_HEAD:
            raise SnapshotError(f"{self.path} is no snapshot, or cut off: remove it")
        checksum = self._check_head(head)
        if self._seal is not None:
            try:
                body = self._seal.open(body, head)
            except UnsealError:
                raise SnapshotError(
                    f"{self.path} cannot be opened: it was changed or cut off, or sealed with another snapshot-key: "
                    "remove it, or give the key that it was sealed with"
                ) from None
        elif hashlib.sha256(body).hexdigest() != checksum:
            raise SnapshotError(f"{self.path} was changed or cut off: remove it")
        return self._parsed(body)

    def write(self, snapshot: Snapshot) -> None:
        """Replace the file, as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        value = {"knownAt": snapshot.known_at, "keys": [written_key(key) for key in snapshot.keys]}
        body = jsons.dumps(value)
        head = jsons.dumps({**self._head(), "sha256": None if self._seal else hashlib.sha256(body).hexdigest()})
        if self._seal is not None:
            body = self._seal.close(body, head)
        # One name a process: several of them may write at once, and the last to rename it wins with a whole file.
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
        descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(head + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise

    def _head(self) -> dict[str, Any]:
        return {"kind": _KIND, "version": _VERSION, "url": self._url, "sealed": self._seal is not None}

    def _bytes(self) -> bytes | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise SnapshotError(
                f"{self.path} cannot be read: {failure.strerror}: give it to the gateway's user"
            ) from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise SnapshotError(f"{self.path} is no file: remove it, or name another one under snapshot")
        with os.fdopen(descriptor, "rb") as file:
            if found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
                raise SnapshotError(
                    f"{self.path} is not the gateway's own, or others may read or write it: somebody else's keys could "
                    "stand there: remove it, or give it to the gateway's user with mode 600"
                )
            if found.st_size > _LARGEST:
                raise SnapshotError(f"{self.path} is too large for a snapshot: remove it")
            try:
                return file.read(_LARGEST)
            except OSError as failure:
                raise SnapshotError(f"{self.path} cannot be read: {failure.strerror}") from None

    def _check_head(self, line: bytes) -> Any:
        """See that the file is what it should be; the checksum that its head names."""
        try:
            head = jsons.loads(line)
        except jsons.JSONError:
            head = None
        if not isinstance(head, dict) or head.get("kind") != _KIND:
            raise SnapshotError(f"{self.path} is no snapshot of keys: remove it, or name another file under snapshot")
        if head.get("version") != _VERSION:
            raise SnapshotError(f"{self.path} was written by another version: remove it")
        if head.get("sealed") is not (self._seal is not None):
            what = (
                "is sealed, and there is no snapshot-key" if head.get("sealed") else "is not sealed with snapshot-key"
            )
            raise SnapshotError(f"{self.path} {what}: give the key, or remove the file")
        if head.get("url") != self._url:
            raise SnapshotError(f"{self.path} holds the keys of another control plane: remove it, or name another file")
        return head.get("sha256")

    def _parsed(self, body: bytes) -> Snapshot:
        try:
            value = jsons.loads(body)
            known_at = value["knownAt"]
            if isinstance(known_at, bool) or not isinstance(known_at, int | float):
                raise TypeError
            return Snapshot(tuple(read_key(one) for one in value["keys"]), float(known_at))
        except (jsons.JSONError, MessageError, KeyError, TypeError):
            raise SnapshotError(f"{self.path} is not written as this version wants it: remove it") from None
