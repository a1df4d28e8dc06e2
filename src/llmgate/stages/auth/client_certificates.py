"""Callers known by the certificates that they show when they connect (mutual TLS, which ``server.tls`` asks for)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs

from llmgate.spec import (
    SCOPES,
    AuthenticationError,
    AuthProvider,
    ClientCertificate,
    Clock,
    Credentials,
    Principal,
    StageContext,
    words_of,
)

__all__ = ["CertificateRule", "ClientCertificates", "ClientCertificatesConfig"]

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST: Final = 512
_RESERVED: Final = ("local", "anonymous")
"""Kinds of principals that mean something to the gateway."""


def _folded(fingerprint: str) -> str:
    """A fingerprint as tools write it, with or without colons, in the one form that is compared."""
    return fingerprint.strip().lower().removeprefix("sha256:").replace(":", "")


def _fingerprints(_: object, field: attrs.Attribute[Any], value: str | Sequence[str] | None) -> None:
    for one in (value,) if isinstance(value, str) else value or ():
        if not _FINGERPRINT.fullmatch(_folded(one)):
            raise ValueError(
                f"{field.name}: {one!r} is no fingerprint: write the 64 hex digits of "
                "`openssl x509 -noout -fingerprint -sha256`",
                field,
            )


def _a_kind(_: object, field: attrs.Attribute[Any], value: str) -> None:
    if value in _RESERVED:
        raise ValueError(f"kind: {value!r} means something else to the gateway: take another word", field)


@attrs.frozen
class CertificateRule:
    """Certificates that are let in, and what their holders may do. All that a rule says of names must fit.

    Args:
        uri: A URI among the certificate's names (``spiffe://example.org/ns/prod/sa/*``); ``*`` stands for anything
            within one part between slashes.
        dns: A host name among them (``*.batch.example.com``); ``*`` stands for anything within one label.
        common_name: The common name of its subject; ``*`` stands for anything. Names of the other two kinds are
            better: authorities look less closely at this one.
        fingerprint: The SHA-256 of the certificate.
        name: What its holder is called, as principals and records call it; None for the name that fits.
        team: The holder's team; None for none.
        kind: What kind of principal it is.
        models: Patterns (``fnmatch``) of the models that it may call; None for all.
        denied_models: Patterns of the models that it may not call.
        scopes: Operations that it may ask for; None for all. With ``usage``, ``metrics`` or ``admin`` among them it
            sees what others have done, as far as each says.
    """

    uri: str | None = None
    dns: str | None = None
    common_name: str | None = None
    fingerprint: str | None = attrs.field(default=None, validator=_fingerprints)
    name: str | None = None
    team: str | None = None
    kind: str = attrs.field(default="service", validator=_a_kind)
    models: Sequence[str] | None = None
    denied_models: Sequence[str] = ()
    scopes: Sequence[str] | None = attrs.field(default=None, validator=words_of(SCOPES))

    def __attrs_post_init__(self) -> None:
        """Check what one field alone cannot tell."""
        if not any((self.uri, self.dns, self.common_name, self.fingerprint)):
            raise ValueError("write which certificates are meant: uri, dns, common-name or fingerprint")


@attrs.frozen
class ClientCertificatesConfig:
    """The config of ``client-certificates``.

    Args:
        rules: Whose certificates are good; the first rule that fits counts.
        revoked: Fingerprints (SHA-256) of certificates that are good no longer, from the next request on.
        unknown: What becomes of a certificate that no rule fits: ``refuse`` it, or ``pass`` it to the next auth
            provider.
    """

    rules: Sequence[CertificateRule] = attrs.field(validator=attrs.validators.min_len(1))
    revoked: Sequence[str] = attrs.field(default=(), validator=_fingerprints)
    unknown: Literal["refuse", "pass"] = "refuse"


class _Pattern:
    """A name with ``*`` in it.

    Args:
        text: The name.
        within: What ``*`` does not reach over; ``""`` for nothing.
        folds: Whether upper and lower case are alike.
    """

    def __init__(self, text: str, within: str, *, folds: bool = False) -> None:
        run = f"[^{re.escape(within)}]+" if within else ".+"
        parts = (re.escape(part) for part in re.split(r"\*+", text))
        self._expression = re.compile(run.join(parts), re.IGNORECASE | re.ASCII if folds else 0)

    def find(self, names: Sequence[str]) -> str | None:
        """The first name that fits."""
        return next((name for name in names if self._expression.fullmatch(name)), None)


class _Rule:
    """A rule, ready to be compared."""

    def __init__(self, rule: CertificateRule, issuer: str) -> None:
        self._rule = rule
        self._issuer = issuer
        self._uri = None if rule.uri is None else _Pattern(rule.uri, "/")
        self._dns = None if rule.dns is None else _Pattern(rule.dns, ".", folds=True)
        self._common_name = None if rule.common_name is None else _Pattern(rule.common_name, "")
        self._fingerprint = None if rule.fingerprint is None else _folded(rule.fingerprint)

    def principal(self, certificate: ClientCertificate) -> Principal | None:
        """Whose certificate it is; None where the rule does not fit."""
        named = [certificate.common_name] if certificate.common_name else []
        found: list[str] = []
        for pattern, names in (
            (self._uri, certificate.uris),
            (self._dns, certificate.dns_names),
            (self._common_name, named),
        ):
            fitting = None if pattern is None else pattern.find(names)
            if pattern is not None and fitting is None:
                return None
            found += [] if fitting is None else [fitting]
        if self._fingerprint is not None and self._fingerprint != certificate.fingerprint:
            return None
        name = self._rule.name or (found[0] if found else f"sha256:{certificate.fingerprint}")
        if len(name) > _LONGEST or not name.isprintable():
            return None
        rule = self._rule
        return Principal(
            id=name,
            issuer=self._issuer,
            kind=rule.kind,
            models=rule.models,
            denied_models=rule.denied_models,
            scopes=rule.scopes,
            attributes={} if rule.team is None else {"team": rule.team},
        )


class ClientCertificates(AuthProvider[ClientCertificatesConfig]):
    """Knows callers by the certificates of their connections.

    Only what TLS itself has verified counts, on connections that end here: no header says anything about it. Where a
    proxy ends TLS, ``trusted-proxy`` believes what that proxy says.
    """

    name = "client-certificates"
    config_class = ClientCertificatesConfig

    def __init__(self, config: ClientCertificatesConfig) -> None:
        super().__init__(config)
        self._clock: Clock | None = None
        self._rules = tuple(_Rule(rule, self.name) for rule in config.rules)
        self._revoked = frozenset(_folded(one) for one in config.revoked)

    async def open(self, context: StageContext) -> None:
        """Take the clock, since a connection may last longer than its certificate."""
        self._clock = context.clock

    async def aclose(self) -> None:
        """Know nobody."""
        self._clock = None

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Whose certificate the connection was made with; None where it was made without one.

        Raises:
            AuthenticationError: it has been revoked, has ended, or no rule fits it.
        """
        certificate = credentials.certificate
        if certificate is None:
            return None
        if self._clock is None:
            raise AuthenticationError(reason=f"{self.name} is not open")
        if certificate.fingerprint in self._revoked:
            raise AuthenticationError(reason="the certificate has been revoked")
        if self._clock.now() >= certificate.ends:
            raise AuthenticationError(reason="the certificate has ended since the connection was made")
        for rule in self._rules:
            principal = rule.principal(certificate)
            if principal is not None:
                return principal
        if self.config.unknown == "pass":
            return None
        raise AuthenticationError(reason="no rule fits the certificate")
