"""What ``target-domains`` can be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from llmgate.catalogue import DomainPatterns

__all__ = ["TargetDomainsConfig"]

_AT_LEAST_ONE = {"minimum": 1, "maximum": 10**9}


def _domains(_: object, attribute: attrs.Attribute[Sequence[str]], value: Sequence[str]) -> None:
    try:
        DomainPatterns(value)
    except ValueError as wrong:
        raise ValueError(f"{attribute.name}: {wrong}") from None


@attrs.frozen
class TargetDomainsConfig:
    """The config of ``target-domains``.

    Args:
        unapproved: What becomes of requests to domains that nobody has approved: ``limit`` or ``refuse``.
        per_second: For ``limit``, their requests in a second, for each caller.
        per_day: For ``limit``, their requests in a day (UTC), for each caller.
        domains: Approved domains beside the catalogue's: ``api.example.com``, ``api-*.example.com`` (``*`` within one
            label) or ``.example.com`` (every name below it).
        state: The name of the state store that counts.
        on_failure: For ``limit``, what becomes of them while the store does not answer: ``deny`` refuses them with 503,
            ``allow`` lets them through uncounted.
    """

    unapproved: Literal["limit", "refuse"] = "limit"
    per_second: int = attrs.field(default=1, metadata={**_AT_LEAST_ONE, "seconds": False})
    per_day: int = attrs.field(default=10_000, metadata=_AT_LEAST_ONE)
    domains: Sequence[str] = attrs.field(default=(), validator=_domains)
    state: str = "memory"
    on_failure: Literal["deny", "allow"] = "deny"
