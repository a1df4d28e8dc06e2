"""Callers known by keys that the configuration lists by hash, or by reference to a secret."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from llmgate.spec import (
    SCOPES,
    AuthenticationError,
    AuthProvider,
    ConfigError,
    Credentials,
    GatewayError,
    Principal,
    SecretNotFoundError,
    SecretRef,
    SecretUnavailableError,
    StageContext,
    words_of,
)

from .keys import digest_of, new_key, parse_hash

__all__ = ["StaticKey", "StaticKeys", "StaticKeysConfig", "new_key"]

log = logging.getLogger("llmgate.auth")

_UNKNOWN: Final = ("refuse", "pass")
_SHORT: Final = 16
"""Characters below which a key is called weak in the log."""
_PLACEHOLDERS: Final = frozenset(
    {
        "changeme",
        "change-me",
        "change_me",
        "secret",
        "password",
        "test",
        "sk-test",
        "your-key",
        "your-api-key",
        "sk-...",
    }
)
"""What stands where somebody has not put a key yet; the first that a stranger tries."""


def _parse_expiry(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or time; UTC where it names no zone."""
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"expires: {text!r} is not a date: write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


@attrs.frozen
class StaticKey:
    """One key.

    Args:
        name: Whose it is, as principals and records call it; several keys may have one name, so that a key can be
            replaced while the old one still works.
        hash: ``sha256:`` and 64 hex digits, as ``llmgate keys new`` prints it; this or ``secret``.
        secret: Where the key itself is kept.
        models: Patterns (``fnmatch``) of the models it may call; None for all.
        expires: An ISO 8601 date or time from which it is refused, UTC where it names no zone; None for never.
        attributes: What else is to be known of its caller, such as a ``team``; for limits and routing.
        scopes: Operations that it may ask for, such as ``chat``; None for all. With ``usage`` or ``admin`` among them
            it sees the records of everybody, not its own alone; with ``metrics`` what they add up to in ``/metrics``.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    hash: str | None = attrs.field(default=None, repr=False)
    secret: SecretRef | None = None
    models: Sequence[str] | None = None
    expires: str | None = None
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    scopes: Sequence[str] | None = attrs.field(default=None, validator=words_of(SCOPES))

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if (self.hash is None) == (self.secret is None):
            raise ValueError(f"key {self.name!r}: write either hash or secret")
        if self.hash is not None:
            parse_hash(self.hash)
        if self.expires is not None:
            _parse_expiry(self.expires)


def _hashes_once(_: object, __: object, keys: Sequence[StaticKey]) -> None:
    seen: dict[bytes, str] = {}
    for key in keys:
        if key.hash is None:
            continue
        digest = parse_hash(key.hash)
        if digest in seen:
            raise ValueError(f"keys {seen[digest]!r} and {key.name!r} have the same hash: give each a key of its own")
        seen[digest] = key.name


def _known_word(_: object, __: object, value: str) -> None:
    if value not in _UNKNOWN:
        raise ValueError(f"unknown: {value!r} is not one of {', '.join(_UNKNOWN)}")


@attrs.frozen
class StaticKeysConfig:
    """The config of ``static-keys``.

    Args:
        keys: The keys.
        unknown: What becomes of a key that is not listed: ``refuse`` it, or ``pass`` it to the next auth provider.
        refresh: Seconds after which keys kept as secrets are fetched again.
    """

    keys: Sequence[StaticKey] = attrs.field(validator=_hashes_once)
    unknown: str = attrs.field(default="refuse", validator=_known_word)
    refresh: float = attrs.field(default=5.0, validator=attrs.validators.ge(0))


@attrs.frozen
class _Listed:
    """What a digest leads to."""

    principal: Principal
    expires: float | None


class StaticKeys(AuthProvider[StaticKeysConfig]):
    """Knows callers by their keys.

    A key is looked up by its SHA-256: one hash and one look-up in a table, whatever the key is, so that neither time
    nor answer tells an unknown key from an expired one. Keys come from ``helicone-auth`` alone where it is present, and
    otherwise from any place in which clients put them (``authorization``, ``x-api-key``, ``api-key``,
    ``x-goog-api-key``).
    """

    name = "static-keys"
    config_class = StaticKeysConfig

    def __init__(self, config: StaticKeysConfig) -> None:
        super().__init__(config)
        self._context: StageContext | None = None
        self._fixed = {parse_hash(key.hash): self._listed(key) for key in config.keys if key.hash is not None}
        self._table: dict[bytes, _Listed] = {}
        self._kept = tuple(key for key in config.keys if key.secret is not None)
        self._digests: dict[SecretRef, bytes] = {}
        self._fetched = 0.0

    async def open(self, context: StageContext) -> None:
        """Fetch the keys that are kept as secrets.

        Raises:
            SecretNotFoundError: one of them is not there.
            ConfigError: one of them is empty.
        """
        self._context = context
        await self._fetch(context, strict=True)

    async def aclose(self) -> None:
        """Forget the keys."""
        self._context = None
        self._table = {}
        self._digests = {}

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """The principal whose key is presented; None when no key is.

        Raises:
            AuthenticationError: a key is presented, and it is not listed or has expired.
        """
        context = self._context
        if context is None:
            raise AuthenticationError(reason="static-keys is not open")
        if self._kept and context.clock.monotonic() - self._fetched >= self.config.refresh:
            await self._fetch(context, strict=False)
        now = context.clock.now()
        reason = ""
        for token in credentials.presented():
            listed = self._table.get(digest_of(token))
            if listed is not None and (listed.expires is None or now < listed.expires):
                return listed.principal
            reason = reason or ("unknown key" if listed is None else f"key {listed.principal.id!r} has expired")
        if not reason or (reason == "unknown key" and self.config.unknown == "pass"):
            return None
        raise AuthenticationError(reason=reason)

    def _listed(self, key: StaticKey) -> _Listed:
        principal = Principal(
            id=key.name, issuer=self.name, models=key.models, attributes=key.attributes, scopes=key.scopes
        )
        return _Listed(principal, None if key.expires is None else _parse_expiry(key.expires))

    async def _fetch(self, context: StageContext, *, strict: bool) -> None:
        """Fetch the kept keys and make the table anew.

        A key that is gone or empty works no longer; one whose store fails keeps its last value.
        """
        self._fetched = context.clock.monotonic()
        for key in self._kept:
            assert key.secret is not None, "only keys with a reference are kept"
            try:
                value = (await context.fetch_secret(key.secret)).reveal()
            except GatewayError as error:
                if strict:
                    raise
                if isinstance(error, SecretNotFoundError) and not isinstance(error, SecretUnavailableError):
                    log.warning("%s: key %r works no longer: %s is gone", context.id, key.name, key.secret)
                    self._digests.pop(key.secret, None)
                else:
                    log.warning("%s: key %r could not be fetched again: %s", context.id, key.name, error)
                continue
            self._keep(context, key, key.secret, value, strict=strict)
        table = dict(self._fixed)
        for key in self._kept:
            digest = self._digests.get(key.secret) if key.secret is not None else None
            if digest is not None:
                table.setdefault(digest, self._listed(key))
        self._table = table

    def _keep(self, context: StageContext, key: StaticKey, ref: SecretRef, value: str, *, strict: bool) -> None:
        if not value.strip():
            if strict:
                raise ConfigError(f"{context.id}: key {key.name!r}: {ref} is empty; put a key there")
            self._digests.pop(ref, None)
            return
        if strict and value.strip().lower() in _PLACEHOLDERS:
            raise ConfigError(
                f"{context.id}: key {key.name!r}: what stands in {ref} is a placeholder, which anybody would guess: "
                "put a key of `llmgate keys new` there"
            )
        if strict and len(value) < _SHORT:
            log.warning(
                "%s: key %r from %s has fewer than %d characters: use `llmgate keys new`",
                context.id,
                key.name,
                ref,
                _SHORT,
            )
        self._digests[ref] = digest_of(value)
