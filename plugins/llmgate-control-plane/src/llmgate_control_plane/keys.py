"""Keys as they travel and as they are looked up: as JSON, and in a table by what they are told by."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from llmgate.spec import CallerLimit, Peppers, Principal, SecretRef, SharedKey

from .errors import MessageError

__all__ = ["ISSUER", "KeyTable", "read_key", "told_by", "written_key"]

ISSUER: Final = "control-plane"
BEARER: Final = "bearer"
"""What stands for a pepper beside the hashes of Helicone's keys, which are made without one."""

_Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_LONGEST: Final = 1000
_MOST: Final = 1000
_NOBODY: Final = secrets.token_bytes(32)
"""What the hash of a key is compared with that nobody has."""


def told_by(peppers: Peppers | None) -> Callable[[str], Sequence[bytes]]:
    """What makes the hashes of a token that it may be known by, always as many.

    Args:
        peppers: What issued keys are hashed with; None for Helicone's keys alone, of which the SHA-256 of ``Bearer``, a
            space and the key is known.
    """
    if peppers is None:
        return lambda token: (_bearer(token),)
    return lambda token: (*peppers.hashes_of(token), _bearer(token))


def _bearer(token: str) -> bytes:
    return hashlib.sha256(b"Bearer " + token.encode("utf-8", "surrogatepass")).digest()


def written_key(key: SharedKey) -> dict[str, Any]:
    """A key as JSON takes it; the issuer is not written, since each gateway vouches for itself.

    Args:
        key: One that somebody has.
    """
    who = key.principal
    assert who is not None, "a key that was revoked is named, not written"
    return {
        "id": key.id,
        "hash": key.hash.hex(),
        "pepper": key.pepper_id,
        "endsAt": key.ends_at,
        "addresses": None if key.addresses is None else list(key.addresses),
        "principal": {
            "id": who.id,
            "kind": who.kind,
            "models": None if who.models is None else list(who.models),
            "deniedModels": list(who.denied_models),
            "scopes": None if who.scopes is None else list(who.scopes),
            "secrets": {name: str(ref) for name, ref in who.secrets.items()},
            "limits": [attrs.asdict(one) for one in who.limits],
            "attributes": dict(who.attributes),
        },
    }


def read_key(value: Any) -> SharedKey:
    """A key from what JSON gives.

    Raises:
        MessageError: it is none.
    """
    try:
        who = _mapping(value["principal"])
        ends_at = value["endsAt"]
        if ends_at is not None and (isinstance(ends_at, bool) or not isinstance(ends_at, int | float)):
            raise TypeError
        addresses = None if value["addresses"] is None else _texts(value["addresses"])
        for one in addresses or ():
            ipaddress.ip_network(one)
        principal = Principal(
            id=_text(who["id"]),
            issuer=ISSUER,
            kind=_text(who["kind"]),
            models=None if who["models"] is None else _texts(who["models"]),
            denied_models=_texts(who["deniedModels"]),
            scopes=None if who["scopes"] is None else _texts(who["scopes"]),
            secrets={_text(name): SecretRef.parse(_text(ref)) for name, ref in _mapping(who["secrets"]).items()},
            limits=tuple(_limit(_mapping(one)) for one in _list(who["limits"])),
            attributes={_text(name): _plain(one) for name, one in _mapping(who["attributes"]).items()},
        )
        return SharedKey(
            _text(value["id"]), read_hash(value["hash"]), _text(value["pepper"]), principal, ends_at, addresses
        )
    except (KeyError, TypeError, ValueError):
        raise MessageError("a key is not written as the protocol wants it") from None


def read_hash(value: Any) -> bytes:
    """A hash from its hexadecimal digits.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("not a hash")
    return bytes.fromhex(value)


@attrs.define(eq=False)
class _Entry:
    key: SharedKey
    networks: Sequence[_Network] | None


class KeyTable:
    """The keys that are known, by id and by hash."""

    def __init__(self) -> None:
        self._by_id: dict[str, _Entry] = {}
        self._by_hash: dict[bytes, _Entry] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def keys(self) -> Iterable[SharedKey]:
        """Every key."""
        return [entry.key for entry in self._by_id.values()]

    def replace(self, keys: Iterable[SharedKey]) -> None:
        """Know these keys and no others."""
        self._by_id, self._by_hash = {}, {}
        for key in keys:
            self.put(key)

    def put(self, key: SharedKey) -> None:
        """Know a key, in place of one of the same id."""
        self.drop(key.id)
        networks = None if key.addresses is None else tuple(map(ipaddress.ip_network, key.addresses))
        entry = _Entry(key, networks)
        self._by_id[key.id] = self._by_hash[key.hash] = entry

    def drop(self, key_id: str) -> None:
        """Know a key no longer."""
        entry = self._by_id.pop(key_id, None)
        if entry is not None and self._by_hash.get(entry.key.hash) is entry:
            del self._by_hash[entry.key.hash]

    def find(self, digests: Sequence[bytes], address: str, now: float) -> tuple[Principal | None, str]:
        """Who has a key, by the hashes it may be known by; each is looked up and compared, whatever those before say.

        Args:
            digests: The hashes of what was presented.
            address: Where it was presented from.
            now: Seconds since the epoch.

        Returns:
            Who has it, None for nobody; and then why, for the record alone.
        """
        found: _Entry | None = None
        for digest in digests:
            entry = self._by_hash.get(digest)
            fits = hmac.compare_digest(_NOBODY if entry is None else entry.key.hash, digest)
            if entry is not None and fits:
                found = found or entry
        if found is None:
            return None, "unknown key"
        key = found.key
        if key.ends_at is not None and now >= key.ends_at:
            return None, f"key {key.id} has ended"
        if found.networks is not None and not _is_within(address, found.networks):
            return None, f"key {key.id} may not be used from {address[:64] or 'an unknown address'}"
        return key.principal, ""


def _is_within(address: str, networks: Sequence[_Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or len(value) > _MOST:
        raise TypeError
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > _MOST:
        raise TypeError
    return value


def _texts(value: Any) -> Sequence[str]:
    return tuple(_text(one) for one in _list(value))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > _LONGEST or not value.isprintable():
        raise TypeError
    return value


def _plain(value: Any) -> Any:
    """A value of an attribute: text, a number, a switch or nothing."""
    if isinstance(value, str):
        return _text(value) if value else value
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError


def _limit(value: Mapping[str, Any]) -> CallerLimit:
    capacity, period = value["capacity"], value["period"]
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise TypeError
    if period is not None and (isinstance(period, bool) or not isinstance(period, int | float) or period <= 0):
        raise TypeError
    return CallerLimit(capacity, period, _text(value["unit"]))
