"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs

from llmgate.spec import SCOPES, bounded, words_of

from .keys import ALGORITHMS

__all__ = ["RESERVED_KINDS", "ClaimNames", "ClaimRule", "IssuerConfig", "OidcConfig", "address_refusal"]

RESERVED_KINDS: Final = ("local", "anonymous")
"""Kinds of principals that mean something to the gateway, which no token may claim."""


def address_refusal(address: str) -> str:
    """Why nobody is asked at an address; ``""`` where it is asked."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return f"{address!r} is no address"
    if parts.scheme not in ("http", "https") or not host or port == 0 or "@" in parts.netloc or parts.fragment:
        return f"{address!r} is no address: write https://HOST/PATH"
    if not address.isascii() or not address.isprintable() or " " in address:
        return f"{address!r} is no address: percent-encode what is not ASCII"
    if parts.scheme == "http" and not _is_here(host):
        return f"{address!r} would be asked without TLS, and whoever sits between could make tokens: write https://"
    return ""


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(field: attrs.Attribute[Any]) -> str:
    return field.name.replace("_", "-")


def _an_address(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    refusal = "" if value is None else address_refusal(value)
    if refusal:
        raise ValueError(f"{_key(field)}: {refusal}", field)


def _some(_: object, field: attrs.Attribute[Any], values: Sequence[str]) -> None:
    if not values or not all(values):
        raise ValueError(f"{_key(field)}: write at least one, and none empty", field)


def _a_kind(_: object, field: attrs.Attribute[Any], value: str | None) -> None:
    if value in RESERVED_KINDS:
        raise ValueError(f"{_key(field)}: {value!r} means something else to the gateway: take another word", field)


@attrs.frozen
class ClaimNames:
    """Which claims say what; ``/a/b`` is the member ``b`` of the claim ``a``.

    A claim that says what a caller may do must be there, or the token is refused.

    Args:
        id: What the caller is called; it must never be given to anybody else.
        team: The caller's team, by which limits and records may go; None for none.
        kind: What kind of principal the caller is; None for ``user``.
        models: Patterns (``fnmatch``) of the models that may be called; None where rules say it.
        denied_models: Patterns of the models that may not; None where rules say it.
        scopes: Operations (``chat``, ``embeddings``, …) that may be asked for; words that mean none are left out. None
            where rules say it.
        attributes: What else is to be known of the caller, by the attribute's name: the claim that says it.
    """

    id: str = "sub"
    team: str | None = None
    kind: str | None = None
    models: str | None = None
    denied_models: str | None = None
    scopes: str | None = None
    attributes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class ClaimRule:
    """What callers may do whose claim has one of some values.

    Args:
        claim: The claim: a text, a list of texts, or the words of ``scope`` and ``scp``. ``/a/b`` is the member ``b``
            of the claim ``a``.
        values: The values, each exactly as the issuer writes it.
        models: Patterns (``fnmatch``) of the models that they may call; None where this rule says nothing of it.
        denied_models: Patterns of the models that they may not call, whatever other rules say.
        scopes: Operations that they may ask for, and ``usage``, ``metrics`` or ``admin``, by which they see what others
            have done; None where this rule says nothing of it.
        team: Their team; None where this rule says nothing of it.
        kind: What kind of principal they are; None where this rule says nothing of it.
        refuse: Whether they are let in at all: a rule that refuses wins over all others.
    """

    claim: str = attrs.field(validator=attrs.validators.min_len(1))
    values: Sequence[str] = attrs.field(validator=_some)
    models: Sequence[str] | None = None
    denied_models: Sequence[str] = ()
    scopes: Sequence[str] | None = attrs.field(default=None, validator=words_of(SCOPES))
    team: str | None = None
    kind: str | None = attrs.field(default=None, validator=_a_kind)
    refuse: bool = False


@attrs.frozen
class IssuerConfig:
    """An identity provider whose tokens are taken.

    Args:
        issuer: What its tokens call it in ``iss``, character by character; its keys are found below this address.
        audiences: Who a token must be for: one of these stands in its ``aud``.
        jwks_uri: Where its keys are; None for what it says at ``/.well-known/openid-configuration``.
        algorithms: How tokens may be signed.
        types: What ``typ`` may say, ``at+jwt`` for access tokens by RFC 9068 alone; None for ``JWT``, ``at+jwt``, or no
            word at all.
        authorized_parties: Clients that tokens may have been given to (``azp``, or else ``client_id``); none for all.
        required_claims: Claims that must have one of some values.
        certificate_bound: Whether a token must be bound to the certificate of its holder's connection (RFC 8705).
            Whatever stands here, one that is bound is taken on a connection with that certificate alone.
        leeway: Seconds by which its clock may differ from ours.
        max_age: Seconds after ``iat`` from which on a token is too old, whatever ``exp`` says; None for no such bound.
        claims: Which claims say what.
        rules: What callers may do, by their claims. What all rules that fit say counts together; the first that says a
            team or a kind is right.
        unmatched: What becomes of a caller whom no rule fits, where there are rules: ``refuse``, or ``allow``.
        cut_at: Entries at which the issuer cuts lists of groups short (Okta: 100). A list of so many that a rule reads
            cannot be told from one that is cut, and the token is refused.
        ca_file: Certificates that its own is checked against; None for those of the system.
    """

    issuer: str = attrs.field(validator=_an_address)
    audiences: Sequence[str] = attrs.field(validator=_some)
    jwks_uri: str | None = attrs.field(default=None, validator=_an_address)
    algorithms: Sequence[str] = attrs.field(default=ALGORITHMS, validator=[_some, words_of(ALGORITHMS)])
    types: Sequence[str] | None = None
    authorized_parties: Sequence[str] = ()
    required_claims: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    certificate_bound: bool = False
    leeway: float = bounded(30.0, 0, 300)
    max_age: float | None = bounded(None, 1, 31 * 86400)
    claims: ClaimNames = ClaimNames()
    rules: Sequence[ClaimRule] = ()
    unmatched: Literal["refuse", "allow"] = "refuse"
    cut_at: int | None = bounded(None, 1, 100_000)
    ca_file: Path | None = None

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if urlsplit(self.issuer).query:
            raise ValueError("issuer: an issuer has no query")
        said = {"models": self.claims.models, "scopes": self.claims.scopes}
        for name, claim in said.items():
            if claim is not None and any(getattr(rule, name) is not None for rule in self.rules):
                raise ValueError(f"{name}: either claims.{name} or rules say it, not both")


def _issuers_once(_: object, __: object, issuers: Sequence[IssuerConfig]) -> None:
    names = [one.issuer for one in issuers]
    if not names:
        raise ValueError("issuers: write at least one")
    if len(set(names)) < len(names):
        raise ValueError("issuers: each issuer stands once; give one entry several audiences")


@attrs.frozen
class OidcConfig:
    """The keys of ``oidc``.

    Args:
        issuers: Whose tokens are taken; a token of anybody else is left to the next auth provider.
        max_token_bytes: How long a token may be.
        max_cached: Tokens that are remembered with what they have been found to be.
        cache_for: Seconds for which one is remembered; never beyond its end, nor beyond a change of its issuer's keys.
        refresh: Seconds after which an issuer's keys are fetched again.
        stale: Seconds beyond that for which they are used on while the issuer does not answer.
        cooldown: Seconds between two fetches that tokens with unknown keys cause.
        timeout: Seconds that fetching an issuer's keys may take.
    """

    issuers: Sequence[IssuerConfig] = attrs.field(validator=_issuers_once)
    max_token_bytes: int = bounded(16_384, 256, 1_048_576)
    max_cached: int = bounded(10_000, 0, 10_000_000)
    cache_for: float = bounded(300.0, 0, 86400)
    refresh: float = bounded(600.0, 1, 86400)
    stale: float = bounded(86400.0, 0, 31 * 86400)
    cooldown: float = bounded(30.0, 1, 3600)
    timeout: float = bounded(5.0, 0.1, 60)
