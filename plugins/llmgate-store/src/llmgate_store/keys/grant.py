"""What a key is made with, and what is kept of it: values without a database."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import SCOPES, CallerLimit, Principal, SecretRef, SharedKey, words_of

__all__ = ["UNITS", "Grant", "IssuedKey", "KeyKind", "State"]

ISSUER: Final = "issued-keys"
_LONGEST: Final = 200
_MOST: Final = 1000
UNITS: Final = ("requests", "tokens", "input-tokens", "output-tokens", "concurrent")
_MOST_UNITS: Final = 10**12
_LONGEST_PERIOD: Final = 366 * 86400
_MOST_LIMITS: Final = 8


class KeyKind(enum.StrEnum):
    """Who a key was issued to or by: a person for itself, a team's manager for the team, an administrator."""

    PERSONAL = "personal"
    TEAM = "team"
    ADMIN = "admin"


class State(enum.StrEnum):
    """How a key stands at some time."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REPLACED = "replaced"
    REVOKED = "revoked"


def _a_name(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    if not value.strip() or len(value) > _LONGEST or not value.isprintable():
        raise ValueError(f"{field.name}: write 1 to {_LONGEST} printable characters")


def _patterns(_: object, field: attrs.Attribute[Any], values: Sequence[str] | None) -> None:
    for value in values or ():
        if not value.strip() or len(value) > _LONGEST or not value.isprintable():
            raise ValueError(f"{field.name}: {value[:_LONGEST]!r} is no pattern of a model's name")
    if len(values or ()) > _MOST:
        raise ValueError(f"{field.name}: {_MOST} patterns at most")


def _networks(_: object, field: attrs.Attribute[Any], values: Sequence[str] | None) -> None:
    for value in values or ():
        try:
            ipaddress.ip_network(value)
        except ValueError as wrong:
            raise ValueError(f"{field.name}: {wrong}: write 192.0.2.0/24 or 2001:db8::/32") from None


def _references(_: object, field: attrs.Attribute[Any], values: Mapping[str, str]) -> None:
    for name, value in values.items():
        try:
            SecretRef.parse(value)
        except ValueError as wrong:
            raise ValueError(f"{field.name}: {name[:64]}: {wrong}") from None


def _limits(_: object, field: attrs.Attribute[Any], values: Sequence[CallerLimit]) -> None:
    for one in values:
        if one.unit not in UNITS or not 1 <= one.capacity <= _MOST_UNITS:
            raise ValueError(f"{field.name}: write one of {', '.join(UNITS)}, and a number from 1 to {_MOST_UNITS}")
        if (one.unit == "concurrent") != (one.period is None):
            raise ValueError(f"{field.name}: {one.unit} {'takes no time' if one.period else 'needs a time'}")
        if one.period is not None and not 0 < one.period <= _LONGEST_PERIOD:
            raise ValueError(f"{field.name}: a time of at most a year")
    if len(values) > _MOST_LIMITS:
        raise ValueError(f"{field.name}: {_MOST_LIMITS} at most")


@attrs.frozen
class Grant:
    """What a key is to allow, and to whom.

    Args:
        label: What people call the key.
        owner: Who has it: a person or a service.
        issued_by: Who made it.
        kind: How it came about.
        team: The team that it belongs to; None for none.
        scopes: Operations that it may ask for; None for all.
        models: Patterns (``fnmatch``) of the models that it may call; None for all.
        denied_models: Patterns of the models that it may not call, whatever ``models`` says.
        addresses: Networks that it may be used from; None for anywhere.
        expires_at: Seconds since the epoch from which it is refused; None for never.
        secrets: References to the provider keys that its requests go with, by the provider's name.
        limits: Limits of its own.
    """

    label: str = attrs.field(validator=_a_name)
    owner: str = attrs.field(validator=_a_name)
    issued_by: str = attrs.field(validator=_a_name)
    kind: KeyKind = attrs.field(default=KeyKind.PERSONAL, converter=KeyKind)
    team: str | None = attrs.field(default=None, validator=_a_name)
    scopes: Sequence[str] | None = attrs.field(default=None, validator=words_of(SCOPES))
    models: Sequence[str] | None = attrs.field(default=None, validator=_patterns)
    denied_models: Sequence[str] = attrs.field(default=(), validator=_patterns)
    addresses: Sequence[str] | None = attrs.field(default=None, validator=_networks)
    expires_at: float | None = None
    secrets: Mapping[str, str] = attrs.field(factory=dict, validator=_references)
    limits: Sequence[CallerLimit] = attrs.field(default=(), validator=_limits)

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if self.kind is KeyKind.TEAM and self.team is None:
            raise ValueError("team: a key of the kind team names its team")


@attrs.frozen
class IssuedKey:
    """What is kept of a key.

    Args:
        public_id: Which key it is.
        family_id: The first key of those that replaced one another: limits and records hang on it.
        last_four: Its last characters.
        grant: What it allows.
        secret_hash: Its HMAC-SHA-256.
        pepper_id: The pepper that it was hashed with.
        created_at: Seconds since the epoch.
        replaced_by: The key that replaces it; None for none.
        ends_at: Seconds since the epoch until which it works beside the one that replaces it; None for not replaced.
        revoked_at: Seconds since the epoch; None for not revoked.
        revoked_by: Who revoked it.
        revoke_reason: Why.
        last_used_at: Seconds since the epoch, written now and then; None for never.
    """

    public_id: str
    family_id: str
    last_four: str
    grant: Grant
    secret_hash: bytes = attrs.field(repr=False)
    pepper_id: str
    created_at: float
    replaced_by: str | None = None
    ends_at: float | None = None
    revoked_at: float | None = None
    revoked_by: str | None = None
    revoke_reason: str | None = None
    last_used_at: float | None = None

    def state(self, now: float) -> State:
        """How it stands at a time, in seconds since the epoch."""
        if self.revoked_at is not None:
            return State.REVOKED
        if self.grant.expires_at is not None and now >= self.grant.expires_at:
            return State.EXPIRED
        if self.ends_at is not None and now >= self.ends_at:
            return State.REPLACED
        return State.ACTIVE

    def principal(self) -> Principal:
        """Who asks with it: the family, so that a key that replaces another spends from the same limits."""
        grant = self.grant
        attributes: Mapping[str, Any] = {
            "key": self.public_id,
            "label": grant.label,
            "owner": grant.owner,
            "team": grant.team,
            "issued_by": grant.issued_by,
        }
        return Principal(
            id=self.family_id,
            issuer=ISSUER,
            kind=grant.kind.value,
            models=grant.models,
            denied_models=grant.denied_models,
            scopes=grant.scopes,
            secrets={name: SecretRef.parse(value) for name, value in grant.secrets.items()},
            limits=tuple(grant.limits),
            attributes=attributes,
        )

    def shared(self) -> SharedKey:
        """What another process must have of it to know its owner."""
        ends = [at for at in (self.grant.expires_at, self.ends_at) if at is not None]
        return SharedKey(
            id=self.public_id,
            hash=self.secret_hash,
            pepper_id=self.pepper_id,
            principal=self.principal() if self.revoked_at is None else None,
            ends_at=min(ends, default=None),
            addresses=self.grant.addresses,
        )

    def described(self, now: float) -> Mapping[str, Any]:
        """What may be shown of it, for people and programs: everything but the hash."""
        grant = attrs.asdict(self.grant)
        grant["kind"] = self.grant.kind.value
        return {
            "id": self.public_id,
            "family": self.family_id,
            "last_four": self.last_four,
            "state": self.state(now).value,
            **grant,
            "created_at": self.created_at,
            "replaced_by": self.replaced_by,
            "ends_at": self.ends_at,
            "revoked_at": self.revoked_at,
            "revoked_by": self.revoked_by,
            "revoke_reason": self.revoke_reason,
            "last_used_at": self.last_used_at,
        }
