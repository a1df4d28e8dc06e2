"""Tokens that have been found good, by their hash, so that a caller's second request costs no signature."""

from __future__ import annotations

import hashlib

import attrs

from llmgate.spec import Principal

from .issuer import Issuer

__all__ = ["Remembered", "TokenMemory", "digest_of"]


def digest_of(token: str) -> bytes:
    """What a token is remembered by."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@attrs.frozen
class Remembered:
    """What a token has been found to be.

    Args:
        principal: Whose it is.
        bond: The certificate that it is bound to (SHA-256 in hex digits), which each request must show; None for none.
        until: When it is looked at anew, in seconds since the epoch.
        issuer: Who has signed it.
        version: Of the issuer's keys.
    """

    principal: Principal
    bond: str | None
    until: float
    issuer: Issuer
    version: int


class TokenMemory:
    """A bounded number of tokens; the one that was remembered first goes first.

    Args:
        most: How many.
        seconds: How long each is remembered at most.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._known: dict[bytes, Remembered] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, digest: bytes, now: float) -> Remembered | None:
        """What a token is; None where that is not known, or not any more."""
        known = self._known.get(digest)
        if known is None:
            return None
        if now >= known.until or known.version != known.issuer.version or not known.issuer.is_known:
            del self._known[digest]
            return None
        return known

    def keep(self, digest: bytes, found: Remembered, now: float) -> None:
        """Remember what a token is.

        Args:
            digest: The token's.
            found: What it is, until its end.
            now: Seconds since the epoch.
        """
        until = min(now + self._seconds, found.until)
        if until <= now or not self._most:
            return
        self._known.pop(digest, None)
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[digest] = attrs.evolve(found, until=until)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
