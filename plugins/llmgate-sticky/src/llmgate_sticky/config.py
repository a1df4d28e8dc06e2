"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

import math

import attrs

__all__ = ["StickyConfig"]


def _some_text(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.strip():
        raise ValueError(f"{attribute.name}: write user, principal, prefix, or the name of a label such as session")


def _seconds(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{attribute.name} must be a number of seconds, 0 or more")


@attrs.frozen
class StickyConfig:
    """The keys of ``sticky``.

    Args:
        by: What stays together: ``user`` (the header Helicone-User-Id, else the request's own field), ``principal``
            (who has logged in), ``prefix`` (what the conversation begins with: the text up to the first message of the
            user), or the name of a label in the request's metadata, such as ``session`` (for which the header
            Helicone-Session-Id comes first).
        release: Seconds for which a deployment is asked last after it has failed.
    """

    by: str = attrs.field(default="user", validator=_some_text)
    release: float = attrs.field(default=30.0, validator=_seconds)
