"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from typing import Any

import attrs

from llmgate.spec import SecretRef, zone_named

__all__ = ["DashboardConfig"]


def _a_zone(_: object, __: object, value: str) -> None:
    zone_named(value)


def _positive(instance: Any, attribute: attrs.Attribute[float], value: float) -> None:
    del instance
    if not value > 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must be more than 0")


@attrs.frozen
class DashboardConfig:
    """The keys of ``dashboard``.

    Args:
        path: Where the dashboard is.
        title: What it is called, at the head of every page.
        zone: By whose clocks times are shown, and hours and days begin: ``UTC``, or say ``Europe/Berlin``.
        refresh_interval: Seconds after which figures are asked for again while the page is open.
        session_ttl: Seconds for which somebody who has signed in stays so.
        session_secret: Where the secret is that sessions are sealed with, 32 random characters or more; needed with
            several workers or replicas. Without it, each start makes a new one, and ends all sessions.
        secure_cookie: Whether the session's cookie goes over TLS only, even where this gateway does not see the TLS:
            with a reverse proxy in front. Where it does see it, the cookie does so anyway.
    """

    path: str = "/dashboard"
    title: str = attrs.field(default="llmgate", validator=attrs.validators.max_len(64))
    zone: str = attrs.field(default="UTC", validator=_a_zone)
    refresh_interval: float = attrs.field(default=30.0, validator=_positive)
    session_ttl: float = attrs.field(default=12 * 3600.0, validator=_positive)
    session_secret: SecretRef | None = None
    secure_cookie: bool = False
