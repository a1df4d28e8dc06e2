"""The keys of an issuer, as a JWK set names them, and what each may be used for.

A key is used with an algorithm only where its type, its curve and what the set says of it agree with that, so that no
token chooses how it is checked. Only public members of asymmetric keys are taken. Source: RFC 7517 (JWK), RFC 7518
(JWA) sections 3 and 6, RFC 8037 and RFC 9864 (Edwards curves), RFC 8725 section 3.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import attrs
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from llmgate.codecs import jsons

from .errors import RefusedTokenError
from .token import decode_part

__all__ = ["ALGORITHMS", "UnreadableKeysError", "VerifyingKey", "read_keys"]

log = logging.getLogger(__name__)

_RSA: Final[tuple[str, ...]] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA", "Ed448"),
}
ALGORITHMS: Final = (*_RSA, "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448")
"""All that are understood; none of them has a key that is shared with the issuer."""
_RSA_BITS: Final = (2048, 8192)
_LARGEST_EXPONENT: Final = 2**32
MOST_KEYS: Final = 100
_LONGEST_NAME: Final = 1024


class UnreadableKeysError(ValueError):
    """What an issuer sends is no set of keys; the message shows nothing of it."""


@attrs.frozen(eq=False)
class VerifyingKey:
    """A public key.

    Args:
        kid: Its name; None where it has none.
        algorithms: What it may be used with.
        key: The key itself, in the library's form.
        curve: Its curve; ``""`` for RSA.
    """

    kid: str | None
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey = attrs.field(repr=False)
    curve: str = ""

    @property
    def mark(self) -> tuple[str | None, str, frozenset[str]]:
        """What two keys are the same by."""
        return self.kid, self.key.thumbprint(), self.algorithms

    def verifies(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether a signature is this key's.

        Args:
            algorithm: One of ``algorithms``.
            signed: What is signed.
            signature: The signature.
        """
        # The library knows the two curves of EdDSA by their own names.
        model = JWSRegistry.algorithms[self.curve if algorithm == "EdDSA" else algorithm]
        try:
            model.check_key(self.key)
            return model.verify(signed, signature, self.key)
        except (JoseError, ValueError):
            return False


def read_keys(body: bytes) -> tuple[VerifyingKey, ...]:
    """The keys of a JWK set that signatures may be checked with; others are left out, as RFC 7517 has it.

    Raises:
        UnreadableKeysError: it is no JWK set.
    """
    try:
        found = jsons.top(body).get("keys")
    except jsons.JSONError as error:
        raise UnreadableKeysError(f"the set of keys cannot be read: {error}") from None
    if not isinstance(found, list):
        raise UnreadableKeysError("the set of keys has no list of keys")
    if len(found) > MOST_KEYS:
        raise UnreadableKeysError(f"the set has more than {MOST_KEYS} keys")
    keys = []
    for number, one in enumerate(found):
        try:
            keys.append(_key(one))
        except (RefusedTokenError, JoseError, ValueError, TypeError, KeyError) as error:
            log.debug("key %d of the set is left out: %s", number, type(error).__name__)
    return tuple(keys)


def _key(jwk: Any) -> VerifyingKey:
    if not isinstance(jwk, dict):
        raise TypeError("a key is an object")
    kid, kind, curve = jwk.get("kid"), str(jwk.get("kty")), str(jwk.get("crv", ""))
    operations = jwk.get("key_ops", ["verify"])
    if kid is not None and (not isinstance(kid, str) or len(kid) > _LONGEST_NAME):
        raise ValueError("kid")
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("use")
    curve = "" if kind == "RSA" else curve
    fitting = _RSA if kind == "RSA" else _CURVES[(kind, curve)]
    said = jwk.get("alg")
    allowed = frozenset(fitting if said is None else _agreeing(fitting, said))
    if not allowed:
        raise ValueError("alg")
    return VerifyingKey(kid, allowed, _public(kind, jwk), curve)


def _agreeing(fitting: tuple[str, ...], said: Any) -> tuple[str, ...]:
    """What fits a key and is what its set says of it; ``EdDSA`` and the curve's own name are one algorithm."""
    if said not in fitting:
        return ()
    return fitting if fitting[0] == "EdDSA" else (said,)


def _public(kind: str, jwk: Mapping[str, Any]) -> RSAKey | ECKey | OKPKey:
    """The public half, whatever else is in the set."""
    if kind == "RSA":
        modulus = int.from_bytes(decode_part(jwk["n"], "modulus"))
        exponent = int.from_bytes(decode_part(jwk["e"], "exponent"))
        if not _RSA_BITS[0] <= modulus.bit_length() <= _RSA_BITS[1] or not 2 < exponent < _LARGEST_EXPONENT:
            raise ValueError("size")
        return RSAKey.import_key({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]})
    decode_part(jwk["x"], "x")
    if kind == "EC":
        decode_part(jwk["y"], "y")
        return ECKey.import_key({"kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"]})
    return OKPKey.import_key({"kty": "OKP", "crv": jwk["crv"], "x": jwk["x"]})
