"""How a secret is sealed: with a key of its own, which is itself sealed with the vault's master key.

Both are AES-256-GCM. What is sealed belongs to a name and a version, so that nobody who writes to the database can put
one secret in another's place. A new master key needs only the small keys to be sealed anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llmgate.spec import ConfigError, SecretRef, StageContext

__all__ = ["MasterKeys", "Sealed", "UnsealError"]

_BYTES: Final = 32
_NONCE: Final = 12


class UnsealError(Exception):
    """What is sealed cannot be opened: another master key, another name, or changed bytes."""


@attrs.frozen
class Sealed:
    """A secret, sealed.

    Args:
        ciphertext: A nonce, and the secret under a key of its own.
        wrapped_key: A nonce, and that key under the master key.
        master_id: Which master key.
    """

    ciphertext: bytes = attrs.field(repr=False)
    wrapped_key: bytes = attrs.field(repr=False)
    master_id: str


class MasterKeys:
    """The master key in force, and those of before.

    Args:
        values: 32 bytes each, the one in force first.
    """

    def __init__(self, values: Sequence[bytes]) -> None:
        self._by_id: Mapping[str, bytes] = {_id_of(value): value for value in values}
        self.current = _id_of(values[0])
        """What the database calls the master key in force."""

    @classmethod
    async def fetch(cls, refs: Sequence[SecretRef], context: StageContext) -> MasterKeys:
        """The master keys behind references, the one in force first.

        Raises:
            SecretNotFoundError: one of them is not there.
            ConfigError: one of them is no key.
        """
        return cls([_read((await context.fetch_secret(ref)).reveal(), ref, context) for ref in refs])

    def __repr__(self) -> str:
        return f"MasterKeys({self.current})"

    def seal(self, name: str, version: int, value: str) -> Sealed:
        """Seal a secret."""
        own = AESGCM.generate_key(_BYTES * 8)
        bound = _bound(name, version)
        return Sealed(
            _encrypted(own, value.encode("utf-8", "surrogatepass"), bound),
            _encrypted(self._by_id[self.current], own, bound),
            self.current,
        )

    def unseal(self, name: str, version: int, sealed: Sealed) -> str:
        """The secret.

        Raises:
            UnsealError: it cannot be opened.
        """
        bound = _bound(name, version)
        own = self._unwrapped(sealed, bound)
        return _decrypted(own, sealed.ciphertext, bound).decode("utf-8", "surrogatepass")

    def sealed_anew(self, name: str, version: int, sealed: Sealed) -> Sealed:
        """The same under the master key in force; the secret itself is not opened.

        Raises:
            UnsealError: its key cannot be opened.
        """
        bound = _bound(name, version)
        own = self._unwrapped(sealed, bound)
        return Sealed(sealed.ciphertext, _encrypted(self._by_id[self.current], own, bound), self.current)

    def _unwrapped(self, sealed: Sealed, bound: bytes) -> bytes:
        master = self._by_id.get(sealed.master_id)
        if master is None:
            raise UnsealError(f"it is sealed with the master key {sealed.master_id}, which is not among those given")
        return _decrypted(master, sealed.wrapped_key, bound)


def _read(text: str, ref: SecretRef, context: StageContext) -> bytes:
    stripped = text.strip()
    try:
        value = bytes.fromhex(stripped) if len(stripped) == 2 * _BYTES else base64.b64decode(stripped, validate=True)
    except (ValueError, binascii.Error):
        value = b""
    if len(value) != _BYTES or len(set(value)) < 8:
        raise ConfigError(
            f"{context.id}: {ref} is no master key: put {_BYTES} bytes of chance there, in hexadecimal or base64, "
            "for example from `openssl rand -hex 32`"
        )
    return value


def _bound(name: str, version: int) -> bytes:
    return b"llmgate-vault\x00%d\x00%s" % (version, name.encode())


def _encrypted(key: bytes, value: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, value, bound)


def _decrypted(key: bytes, value: bytes, bound: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(value[:_NONCE], value[_NONCE:], bound)
    except (InvalidTag, ValueError):
        raise UnsealError("its bytes were changed, or moved from another secret") from None


def _id_of(value: bytes) -> str:
    return hashlib.sha256(b"llmgate-vault:" + value).hexdigest()[:16]
