"""Tokens that have been found good, by their hash, so that a caller's second request costs no signature."""

from __future__ import annotations

import hashlib

import attrs

from llmgate.spec import Principal

from .issuer import Issuer

__all__ = ["TokenMemory", "digest_of"]


def digest_of(token: str) -> bytes:
    """What a token is remembered by."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


@attrs.frozen
class _Remembered:
    """Whose a token is, until when (seconds since the epoch), and by which of the issuer's keys."""

    principal: Principal
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
        self._known: dict[bytes, _Remembered] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, digest: bytes, now: float) -> Principal | None:
        """Whose a token is; None where that is not known, or not any more."""
        known = self._known.get(digest)
        if known is None:
            return None
        if now >= known.until or known.version != known.issuer.version or not known.issuer.is_known:
            del self._known[digest]
            return None
        return known.principal

    def keep(self, digest: bytes, principal: Principal, issuer: Issuer, now: float, end: float) -> None:
        """Remember whose a token is.

        Args:
            digest: The token's.
            principal: Whose it is.
            issuer: Who has signed it.
            now: Seconds since the epoch.
            end: When the token ends, in the same.
        """
        until = min(now + self._seconds, end)
        if until <= now or not self._most:
            return
        self._known.pop(digest, None)
        while len(self._known) >= self._most:
            del self._known[next(iter(self._known))]
        self._known[digest] = _Remembered(principal, until, issuer, issuer.version)

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
