"""Which gateways may connect: a file of names, each with the hash of a credential of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import hmac
import os
import re
import secrets
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from llmgate.codecs import jsons
from llmgate.spec import ConfigError

__all__ = ["Gateway", "Gateways", "GatewaysFile", "new_credential"]

PREFIX: Final = "gw-lg-"
"""What every credential begins with, so that secret scanners can find one that leaked."""
_CHANCE: Final = 43
"""Characters of chance: 43 of 62 are 256 bits."""
_ALPHABET: Final = string.ascii_letters + string.digits
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LARGEST: Final = 16 * 1024 * 1024
_NOBODY: Final = secrets.token_bytes(32)


def new_credential() -> str:
    """Make a credential."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_CHANCE))


@attrs.frozen
class Gateway:
    """A gateway that may connect.

    Args:
        name: What it is called.
        hash: The SHA-256 of its credential, hexadecimal.
        added: When it was added, as ISO 8601 writes it.
    """

    name: str
    hash: str = attrs.field(repr=False)
    added: str


class Gateways:
    """Gateways by their credentials.

    Args:
        known: Every one.
    """

    def __init__(self, known: Sequence[Gateway] = ()) -> None:
        self.known = tuple(known)
        self._by_hash = {bytes.fromhex(one.hash): one for one in known}

    def find(self, credential: str) -> Gateway | None:
        """Whose a credential is; one hash and one look-up, whatever it is."""
        digest = _digest(credential)
        found = self._by_hash.get(digest)
        fits = hmac.compare_digest(_NOBODY if found is None else bytes.fromhex(found.hash), digest)
        return found if fits else None

    def has(self, gateway: Gateway) -> bool:
        """Whether a gateway may still connect, with the credential that it had."""
        return gateway in self.known


class GatewaysFile:
    """The file. Whoever changes it waits for whoever else does.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def stamp(self) -> tuple[int, int, int]:
        """What differs when the file was replaced."""
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def read(self) -> Gateways:
        """Who may connect; nobody where there is no file.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST)
        except FileNotFoundError:
            return Gateways()
        except OSError as failure:
            raise ConfigError(f"{self.path} cannot be read: {failure.strerror}") from None
        try:
            return Gateways([_gateway(one) for one in jsons.loads(data)["gateways"]])
        except (jsons.JSONError, KeyError, TypeError, ValueError):
            raise ConfigError(
                f"{self.path} is no list of gateways: make it anew with `llmgate control-plane add`"
            ) from None

    def add(self, name: str, credential: str, now: float) -> None:
        """Let a gateway connect.

        Raises:
            ConfigError: there is one of that name, or the name is none.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError("a gateway's name has letters, digits, '.', '_' and '-', 64 at most")
        with self._alone():
            known = self.read().known
            if any(one.name == name for one in known):
                raise ConfigError(f"there is a gateway {name} already: remove it first, or take another name")
            added = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds")
            self._write([*known, Gateway(name, _digest(credential).hex(), added)])

    def remove(self, name: str) -> None:
        """Let a gateway connect no longer.

        Raises:
            ConfigError: there is none of that name.
        """
        with self._alone():
            known = self.read().known
            if all(one.name != name for one in known):
                raise ConfigError(f"there is no gateway {name}: see `llmgate control-plane list`")
            self._write([one for one in known if one.name != name])

    def _write(self, gateways: Sequence[Gateway]) -> None:
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
                file.write(jsons.dumps({"gateways": [attrs.asdict(one) for one in gateways]}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as failure:
            raise ConfigError(f"{self.path} cannot be written: {failure.strerror}") from None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        lock = self.path.with_name(f".{self.path.name}.lock")
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as failure:
            raise ConfigError(f"{lock} cannot be made: {failure.strerror}") from None
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()


def _gateway(value: Any) -> Gateway:
    name, digest, added = value["name"], value["hash"], value["added"]
    if not isinstance(added, str) or not _NAME.fullmatch(name) or not _DIGEST.fullmatch(digest):
        raise ValueError
    return Gateway(name, digest, added)
