"""How the snapshot of keys is sealed: AES-256-GCM, bound to the control plane that it comes from."""

from __future__ import annotations

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from llmgate.spec import ConfigError, SecretRef, StageContext

__all__ = ["Seal", "UnsealError"]

_BYTES: Final = 32
_NONCE: Final = 12


class UnsealError(Exception):
    """What is sealed cannot be opened: another key, or changed bytes."""


class Seal:
    """A key that snapshots are sealed with.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = AESGCM(key)

    @classmethod
    async def fetch(cls, ref: SecretRef, context: StageContext) -> Seal:
        """The key behind a reference.

        Raises:
            SecretNotFoundError: it is not there.
            ConfigError: it is no key.
        """
        text = (await context.fetch_secret(ref)).reveal().strip()
        try:
            value = bytes.fromhex(text) if len(text) == 2 * _BYTES else base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            value = b""
        if len(value) != _BYTES or len(set(value)) < 8:
            raise ConfigError(
                f"{context.id}: {ref} is no key to seal with: put {_BYTES} bytes of chance there, in hexadecimal or "
                "base64, for example from `openssl rand -hex 32`"
            )
        return cls(value)

    def close(self, text: bytes, bound: bytes) -> bytes:
        """Seal a text, for what it is bound to."""
        nonce = os.urandom(_NONCE)
        return nonce + self._key.encrypt(nonce, text, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """The text.

        Raises:
            UnsealError: it was sealed with another key or for something else, or was changed.
        """
        try:
            return self._key.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
        except (InvalidTag, ValueError):
            raise UnsealError from None
