"""Keys for callers: how one is made, and how one is looked up without being kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from typing import Final

__all__ = ["HASH_PREFIX", "KEY_PREFIX", "digest_of", "hash_of", "new_key", "parse_hash"]

KEY_PREFIX: Final = "sk-lg-"
"""What every key made here begins with, so that secret scanners can find one that leaked."""
HASH_PREFIX: Final = "sha256:"
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 43
"""Characters of chance in a key: 43 of 62 are 256 bits, so that a plain SHA-256 cannot be searched back."""
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")


def new_key() -> tuple[str, str]:
    """Make a key.

    Returns:
        The key, for the caller, and its hash, for the configuration.
    """
    key = KEY_PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
    return key, hash_of(key)


def hash_of(key: str) -> str:
    """What the configuration keeps of a key: ``sha256:`` and 64 hex digits."""
    return HASH_PREFIX + digest_of(key).hex()


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key; any text has one, lone surrogates included."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def parse_hash(text: str) -> bytes:
    """The digest in ``sha256:<64 hex digits>``.

    Raises:
        ValueError: the text is no such hash.
    """
    folded = text.strip().lower()
    if not _HASH.fullmatch(folded):
        raise ValueError("a key's hash is sha256: and 64 hex digits, as `llmgate keys new` prints it")
    return bytes.fromhex(folded.removeprefix(HASH_PREFIX))
