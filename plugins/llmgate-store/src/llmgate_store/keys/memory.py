"""What a process remembers of keys, so that a caller it knows costs one HMAC and one look-up in a table."""

from __future__ import annotations

import hmac
import ipaddress
import math
import secrets
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import attrs

from llmgate.spec import Principal

from .grant import IssuedKey

__all__ = ["KeyMemory", "Remembered"]

_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_NOBODY: Final = secrets.token_bytes(32)
"""What the hash of a key is compared with that nobody has."""


@attrs.define(eq=False)
class Remembered:
    """What is known of one public part.

    Args:
        hash: What the key's hash must be.
        pepper_id: What it is hashed with; None for the pepper in force.
        principal: Who has it; None for nobody.
        ends: Seconds since the epoch at which it ends.
        ending: What the record says then.
        refusal: Why it lets nobody in whatever the time; ``""`` for no such reason.
        networks: Where it may be used from; None for anywhere.
        until: Monotonic seconds at which this is forgotten.
        used_at: When it was last used, in seconds since the epoch; 0 for not since that was written.
    """

    hash: bytes = attrs.field(repr=False)
    pepper_id: str | None
    principal: Principal | None
    ends: float
    ending: str
    refusal: str
    networks: Sequence[_Network] | None
    until: float
    used_at: float = 0.0

    @classmethod
    def of(cls, key: IssuedKey) -> Remembered:
        """What is to be remembered of a key that there is."""
        grant = key.grant
        ends = {"has expired": grant.expires_at, "has been replaced": key.ends_at}
        known = {why: at for why, at in ends.items() if at is not None}
        ending = min(known, key=lambda why: known[why], default="")
        return cls(
            hash=key.secret_hash,
            pepper_id=key.pepper_id,
            principal=key.principal(),
            ends=known.get(ending, math.inf),
            ending=ending,
            refusal="" if key.revoked_at is None else "has been revoked",
            networks=None if grant.addresses is None else tuple(map(ipaddress.ip_network, grant.addresses)),
            until=math.inf,
        )

    @classmethod
    def nobody(cls, until: float) -> Remembered:
        """What is to be remembered of a key that nobody has."""
        return cls(_NOBODY, None, None, math.inf, "", "is unknown", None, until)

    def refuse(self, digest: bytes, address: str, now: float) -> str:
        """Why a key is refused; ``""`` for not at all. All reasons take the same way to their end.

        Args:
            digest: The hash of what was presented.
            address: Where it was presented from.
            now: Seconds since the epoch.
        """
        fits = hmac.compare_digest(self.hash, digest)
        late = now >= self.ends
        astray = self.networks is not None and not _is_within(address, self.networks)
        if self.principal is None:
            return self.refusal
        if not fits:
            return "has another secret part"
        if self.refusal:
            return self.refusal
        if late:
            return self.ending
        return f"may not be used from {address[:64] or 'an unknown address'}" if astray else ""


class KeyMemory:
    """Keys that are known, and public parts that are known to be nobody's; of each so many at most.

    Args:
        most_known: Keys; beyond it the one remembered longest is forgotten.
        most_unknown: Public parts of nobody's.
    """

    def __init__(self, most_known: int, most_unknown: int) -> None:
        self._known: dict[str, Remembered] = {}
        self._unknown: dict[str, Remembered] = {}
        self._most_known = most_known
        self._most_unknown = most_unknown

    def __len__(self) -> int:
        return len(self._known) + len(self._unknown)

    def find(self, public_id: str, now: float) -> Remembered | None:
        """What is known of a public part at a time, in monotonic seconds; None for nothing."""
        found = self._known.get(public_id) or self._unknown.get(public_id)
        return None if found is None or now >= found.until else found

    def keep(self, public_id: str, remembered: Remembered) -> None:
        """Remember it."""
        known = remembered.principal is not None
        kept, most = (self._known, self._most_known) if known else (self._unknown, self._most_unknown)
        kept.pop(public_id, None)
        if len(kept) >= most:
            del kept[next(iter(kept))]
        kept[public_id] = remembered

    def forget(self, public_ids: Iterable[str]) -> None:
        """Know nothing of these."""
        for public_id in public_ids:
            self._known.pop(public_id, None)
            self._unknown.pop(public_id, None)

    def clear(self) -> None:
        """Know nothing."""
        self._known.clear()
        self._unknown.clear()

    def take_used(self) -> dict[str, float]:
        """When keys were last used that have been since this was last asked, in seconds since the epoch."""
        used = {public_id: one.used_at for public_id, one in self._known.items() if one.used_at}
        for public_id in used:
            self._known[public_id].used_at = 0.0
        return used


def _is_within(address: str, networks: Sequence[_Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)
