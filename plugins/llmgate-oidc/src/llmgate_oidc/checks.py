"""What must be so of a token beside its signature: who made it, for whom, and when.

Source: RFC 7519 section 4.1, RFC 8725 (best practices), RFC 9068 (access tokens), OpenID Connect Core section 3.1.3.7,
RFC 8705 section 3 (tokens that are bound to certificates), RFC 7800 section 3.1 (``cnf``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.spec import ClientCertificate

from .config import IssuerConfig
from .errors import RefusedTokenError
from .token import decode_part
from .values import texts_at

__all__ = ["bound_to", "check_claims", "check_header", "check_holder"]

_TYPES: Final = ("jwt", "at+jwt")
_CHANGED_MEANING: Final = ("crit", "b64", "zip", "enc")
"""Members of a header that change how the token is read."""
_THUMBPRINT: Final = "x5t#S256"
_SHA256_BYTES: Final = 32


def check_header(header: Mapping[str, Any], config: IssuerConfig) -> tuple[str, str | None]:
    """What a header says that is taken: the algorithm, and the name of the key.

    Keys that a token brings along or points to (``jwk``, ``jku``, ``x5c``, ``x5u``) are not looked at.

    Raises:
        RefusedTokenError: it says something else.
    """
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str) or algorithm not in config.algorithms:
        raise RefusedTokenError("its algorithm is not among those that are allowed")
    if any(name in header for name in _CHANGED_MEANING):
        raise RefusedTokenError("its header wants to be read in a way of its own")
    if kid is not None and not isinstance(kid, str):
        raise RefusedTokenError("the name of its key is no text")
    if "cty" in header:
        raise RefusedTokenError("it holds another token")
    if kind is not None and not isinstance(kind, str):
        raise RefusedTokenError("its type is no text")
    said = None if kind is None else kind.lower().removeprefix("application/")
    allowed = (None, *_TYPES) if config.types is None else tuple(one.lower() for one in config.types)
    if said not in allowed:
        raise RefusedTokenError("its type is not among those that are taken")
    return algorithm, kid


def check_claims(claims: Mapping[str, Any], config: IssuerConfig, now: float) -> float:
    """See that a token is from its issuer, for us, and good now.

    Args:
        claims: What it claims.
        config: What its issuer's tokens must be like.
        now: Seconds since the epoch.

    Returns:
        Its end, in seconds since the epoch.

    Raises:
        RefusedTokenError: it is not.
    """
    if claims.get("iss") != config.issuer:
        raise RefusedTokenError("another issuer has made it")
    if not set(_audiences(claims.get("aud"))) & set(config.audiences):
        raise RefusedTokenError("it is for somebody else (aud)")
    end = _check_times(claims, config, now)
    if config.authorized_parties:
        party = claims.get("azp", claims.get("client_id"))
        if not isinstance(party, str) or party not in config.authorized_parties:
            raise RefusedTokenError("it was given to a client that is not listed (azp)")
    for name, values in config.required_claims.items():
        if not set(texts_at(claims, name)) & set(values):
            raise RefusedTokenError(f"its claim {name} is not as required")
    return end


def bound_to(claims: Mapping[str, Any], config: IssuerConfig) -> str | None:
    """The certificate that a token is bound to, by its SHA-256 in hex digits; None where it is bound to nothing.

    Raises:
        RefusedTokenError: it is bound to something else, or should be bound and is not.
    """
    if "cnf" not in claims:
        if config.certificate_bound:
            raise RefusedTokenError("it is not bound to a certificate (cnf)")
        return None
    bond = claims["cnf"]
    # What stands beside the one proof that is looked at might be another that its issuer wants.
    if not isinstance(bond, dict) or set(bond) != {_THUMBPRINT} or not isinstance(bond[_THUMBPRINT], str):
        raise RefusedTokenError("it is bound to a key of its holder's, who has not proved to have it (cnf)")
    digest = decode_part(bond[_THUMBPRINT], "certificate's thumbprint (cnf)")
    if len(digest) != _SHA256_BYTES:
        raise RefusedTokenError("the certificate that it is bound to cannot be told (cnf)")
    return digest.hex()


def check_holder(bond: str | None, certificate: ClientCertificate | None, now: float) -> None:
    """See that who presents a token is who it was given to.

    Args:
        bond: What the token is bound to, from ``bound_to``.
        certificate: That of the connection, verified by TLS; None for none.
        now: Seconds since the epoch.

    Raises:
        RefusedTokenError: it is another's.
    """
    if bond is None:
        return
    if certificate is None:
        raise RefusedTokenError("it is bound to a certificate, and the connection has none (cnf)")
    if certificate.fingerprint != bond:
        raise RefusedTokenError("it is bound to another certificate than the connection's (cnf)")
    if now >= certificate.ends:
        raise RefusedTokenError("the certificate that it is bound to has ended since the connection was made (cnf)")


def _audiences(found: Any) -> Sequence[str]:
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise RefusedTokenError("its audience cannot be read")
    return found


def _check_times(claims: Mapping[str, Any], config: IssuerConfig, now: float) -> float:
    end = _moment(claims, "exp")
    begin, made = _moment(claims, "nbf"), _moment(claims, "iat")
    if end is None:
        raise RefusedTokenError("it never ends (exp)")
    if now >= end + config.leeway:
        raise RefusedTokenError("it has expired")
    if begin is not None and now < begin - config.leeway:
        raise RefusedTokenError("it is not good yet (nbf)")
    if made is not None and now < made - config.leeway:
        raise RefusedTokenError("it was made in the future (iat)")
    if config.max_age is not None:
        if made is None:
            raise RefusedTokenError("it does not say when it was made (iat)")
        end = min(end, made + config.max_age)
        if now >= end + config.leeway:
            raise RefusedTokenError("it is too old (iat)")
    return end


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise RefusedTokenError(f"its {name} is no moment")
    return float(value)
