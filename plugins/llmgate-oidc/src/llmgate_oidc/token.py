"""A signed token as it travels: three parts in base64url with dots between them.

Everything on which two readers could differ is refused: padding, characters and bits that do not belong there, names
that are repeated. Source: RFC 7515 (JWS) section 7.1, RFC 7519 (JWT), RFC 8725 (best practices).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs import jsons

from .errors import RefusedTokenError

__all__ = ["SignedToken", "decode_part", "looks_like_a_token", "read_token"]

_BEGINNING: Final = re.compile(r"(?:eyJ|eyA|ewo|ew0|ewk)[A-Za-z0-9_-]{5,}\.")
"""The beginning of a JSON object in base64url, with as much behind it as the shortest header has."""
_PART: Final = re.compile(r"[A-Za-z0-9_-]*")
_SIGNED, _ENCRYPTED = 2, 4
"""Dots in a token."""


@attrs.frozen
class SignedToken:
    """What a token says, before anybody has looked at its signature.

    Args:
        header: How it claims to be signed.
        claims: What it claims.
        signed: The bytes that the signature is of.
        signature: The signature.
    """

    header: Mapping[str, Any] = attrs.field(repr=False)
    claims: Mapping[str, Any] = attrs.field(repr=False)
    signed: bytes = attrs.field(repr=False)
    signature: bytes = attrs.field(repr=False)


def looks_like_a_token(text: str) -> bool:
    """Whether a credential can be nothing but a token of this kind, be it good or bad."""
    return _BEGINNING.match(text) is not None and text.count(".") in (_SIGNED, _ENCRYPTED)


def read_token(text: str, most_bytes: int) -> SignedToken:
    """The parts of a token.

    Args:
        text: The token.
        most_bytes: How long it may be.

    Raises:
        RefusedTokenError: it is too long, encrypted, or cannot be read.
    """
    if len(text) > most_bytes:
        raise RefusedTokenError(f"the token is longer than {most_bytes} bytes")
    if text.count(".") == _ENCRYPTED:
        raise RefusedTokenError("the token is encrypted, which is not taken")
    header, claims, signature = text.split(".")
    return SignedToken(
        _an_object(header, "header"),
        _an_object(claims, "claims"),
        f"{header}.{claims}".encode("ascii"),
        decode_part(signature, "signature"),
    )


def decode_part(text: str, what: str) -> bytes:
    """The bytes of a part in base64url.

    Args:
        text: The part.
        what: What the error calls it.

    Raises:
        RefusedTokenError: there is another way to write the same bytes, or none.
    """
    if _PART.fullmatch(text) is None or len(text) % 4 == 1:
        raise RefusedTokenError(f"the {what} is no base64url")
    decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != text.encode("ascii"):
        raise RefusedTokenError(f"the {what} has bits that mean nothing")
    return decoded


def _an_object(text: str, what: str) -> Mapping[str, Any]:
    try:
        return jsons.top(decode_part(text, what)).values()
    except jsons.JSONError as error:
        raise RefusedTokenError(f"the {what} cannot be read: {error}") from None
