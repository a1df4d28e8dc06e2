"""The header ``Helicone-RateLimit-Policy``: ``[quota];w=[seconds];u=[unit];s=[segment]``.

Source: Helicone documentation, "Custom Rate Limits". There a policy that cannot be read is ignored; here it is an
error, since a caller who asked for a limit relies on it. ``global`` is what it calls the segment of a policy that names
none, so ``s=global`` says the same here and is no property.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from llmgate.spec import InvalidRequestError

from .config import LimitConfig, UnitName

__all__ = ["HEADER", "read_policy"]

HEADER: Final = "helicone-ratelimit-policy"
_LONGEST: Final = 256
_QUOTA: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_WINDOW: Final = re.compile(r"[0-9]{1,8}", re.ASCII)
_SEGMENT: Final = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)
_UNITS: Final[Mapping[str, UnitName]] = {
    "request": "requests",
    "requests": "requests",
    "cents": "cents",
}
"""The units that a policy may name, by what they are called in a configuration."""
_LONGEST_WINDOW: Final = 366 * 86400
_HOW: Final = "write QUOTA;w=SECONDS, then ;u=request or ;u=cents and ;s=user, ;s=PROPERTY or ;s=global where wanted"


def read_policy(text: str) -> LimitConfig:
    """The limit that a policy asks for.

    Args:
        text: The value of the header.

    Raises:
        InvalidRequestError: it is no policy, or asks for what is not counted here.
    """
    quota, *rest = (part.strip() for part in text.split(";")) if len(text) <= _LONGEST else ("",)
    fields: dict[str, str] = {}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals or name.strip().lower() in fields:
            raise _wrong(text)
        fields[name.strip().lower()] = value.strip().lower()
    window, unit, segment = fields.pop("w", ""), fields.pop("u", "request"), fields.pop("s", None)
    if fields or not (_QUOTA.fullmatch(quota) and _WINDOW.fullmatch(window)):
        raise _wrong(text)
    if int(quota) < 1 or not 1 <= int(window) <= _LONGEST_WINDOW:
        raise _wrong(text)
    if unit not in _UNITS:
        raise InvalidRequestError(
            f"helicone-ratelimit-policy: the unit {unit!r} is not counted here: write u=request or u=cents",
            code="invalid_rate_limit_policy",
        )
    return LimitConfig(int(quota), float(window), unit=_UNITS[unit], by=("api-key", *_by(text, segment)), name="policy")


def _by(text: str, segment: str | None) -> tuple[str, ...]:
    """What a policy counts apart, below the caller who sent it."""
    if segment in (None, "global"):
        return ()
    if not _SEGMENT.fullmatch(segment):
        raise _wrong(text)
    return ("user",) if segment == "user" else (f"property:{segment}",)


def _wrong(text: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"helicone-ratelimit-policy: {text[:64]!r} is no rate limit: {_HOW}", code="invalid_rate_limit_policy"
    )
