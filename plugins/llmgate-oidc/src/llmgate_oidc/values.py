"""The values of a claim, however deep it is and in whatever of the usual forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["claim_at", "is_cut", "texts_at"]

_OF_WORDS: Final = ("scope", "scp")
"""Claims whose text is a list of words (RFC 8693 section 4.2)."""


def claim_at(claims: Mapping[str, Any], name: str) -> Any:
    """The value of a claim, ``/a/b`` for the member ``b`` of the claim ``a``; None where there is none."""
    value: Any = claims
    for part in name[1:].split("/") if name.startswith("/") else (name,):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def texts_at(claims: Mapping[str, Any], name: str) -> Sequence[str]:
    """The values of a claim as texts; none where it is absent or of another form."""
    value = claim_at(claims, name)
    if isinstance(value, str):
        return value.split(" ") if name in _OF_WORDS else (value,)
    if isinstance(value, list):
        return tuple(text for one in value if (text := _text(one)) is not None)
    text = _text(value)
    return () if text is None else (text,)


def is_cut(claims: Mapping[str, Any], name: str, cut_at: int | None) -> bool:
    """Whether a claim may lack values that the issuer knows of.

    Args:
        claims: What the token claims.
        name: The claim.
        cut_at: How many entries the issuer gives at most; None for all.

    Source: OpenID Connect Core section 5.6.2 (``_claim_names``); Microsoft, "Groups overage claim" (``hasgroups``).
    """
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, Mapping) and name in elsewhere:
        return True
    if name == "groups" and claims.get("hasgroups") in (True, "true"):
        return True
    value = claim_at(claims, name)
    return cut_at is not None and isinstance(value, list) and len(value) >= cut_at


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) else None
