"""The secrets that keys are hashed with. They are kept apart from the hashes: who writes there can make no key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from .errors import ConfigError
from .identity import SecretRef
from .stage import StageContext

__all__ = ["Peppers"]

SHORTEST: Final = 32
"""Characters that a pepper must have."""


class Peppers:
    """The pepper in force, and those of before.

    Args:
        values: Each with what a database calls it, the one in force first.
    """

    def __init__(self, values: Sequence[bytes]) -> None:
        self._by_id: Mapping[str, bytes] = {_id_of(value): value for value in values}
        self.current = _id_of(values[0])
        """What the database calls the pepper in force."""

    @classmethod
    async def fetch(cls, refs: Sequence[SecretRef], context: StageContext) -> Peppers:
        """The peppers behind references, the one in force first.

        Raises:
            SecretNotFoundError: one of them is not there.
            ConfigError: one of them is too short, or of a few characters only.
        """
        values = []
        for ref in refs:
            value = (await context.fetch_secret(ref)).reveal()
            if len(value) < SHORTEST or len(set(value)) < 8:
                raise ConfigError(
                    f"{context.id}: {ref} is no pepper: put {SHORTEST} characters of chance there, "
                    "for example from `openssl rand -hex 32`"
                )
            values.append(value.encode("utf-8", "surrogatepass"))
        return cls(values)

    def __repr__(self) -> str:
        return f"Peppers({self.current})"

    def hash_of(self, key: str, pepper_id: str | None = None) -> bytes:
        """The HMAC-SHA-256 of a key, 32 bytes.

        Args:
            key: All of it.
            pepper_id: Which pepper; None, or one that is not there, for the one in force.
        """
        pepper = self._by_id.get(pepper_id or self.current) or self._by_id[self.current]
        return hmac.digest(pepper, key.encode("utf-8", "surrogatepass"), "sha256")

    def hashes_of(self, key: str) -> Sequence[bytes]:
        """The hash of a key with every pepper, the one in force first; as many whatever the key is."""
        text = key.encode("utf-8", "surrogatepass")
        return [hmac.digest(pepper, text, "sha256") for pepper in self._by_id.values()]


def _id_of(value: bytes) -> str:
    return hashlib.sha256(b"llmgate-pepper:" + value).hexdigest()[:16]
