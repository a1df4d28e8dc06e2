"""What ``rate-limit`` can be told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import attrs

__all__ = ["LimitConfig", "PerApiKeyConfig", "RateLimitConfig", "Unit"]

Unit: TypeAlias = Literal["requests", "tokens", "input-tokens", "output-tokens"]

_SEGMENT: Final = re.compile(r"api-key|ip|user|model|router|surface|(?:property|header|attribute):[A-Za-z0-9_.-]{1,64}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CAPACITY: Final = {"minimum": 1, "maximum": 10**12}
_PERIOD: Final = {"above": 0, "maximum": 366 * 86400}
_LONGEST_WAIT: Final = {"above": 0, "maximum": 0.5}


def _segments(_: object, attribute: attrs.Attribute[Sequence[str]], value: Sequence[str]) -> None:
    for one in value:
        if not _SEGMENT.fullmatch(one):
            raise ValueError(
                f"{attribute.name}: {one!r} is nothing to count by: write api-key, ip, user, model, router, surface, "
                "property:NAME, header:NAME or attribute:NAME"
            )


def _named(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{attribute.name}: {value!r} must be 1 to 64 lower-case letters, digits and '-'")


@attrs.frozen
class PerApiKeyConfig:
    """A limit of requests for each API key, in the words of the older dialect.

    Args:
        capacity: Requests that may come at once.
        refill_frequency: Seconds in which the whole capacity comes back, evenly.
    """

    capacity: int = attrs.field(default=500, metadata=_CAPACITY)
    refill_frequency: float = attrs.field(default=1.0, metadata=_PERIOD)


@attrs.frozen
class LimitConfig:
    """One limit.

    Args:
        capacity: How much may be asked for at once.
        refill_frequency: Seconds in which the whole capacity comes back, evenly.
        unit: What is counted: ``requests``, or ``tokens``, ``input-tokens``, ``output-tokens`` of the answers.
        by: What is counted apart: ``api-key`` (the caller, or the address of one who is nobody), ``ip``, ``user``,
            ``model``, ``router``, ``surface``, ``property:NAME`` (the header ``Helicone-Property-NAME``),
            ``header:NAME`` or ``attribute:NAME`` (of the caller, as its auth provider knows it). Nothing means that all
            requests count together.
        models: Patterns (``fnmatch``) of the models asked for to which it applies; None for all.
        name: What refusals and records call it; without it, what it counts.
    """

    capacity: int = attrs.field(metadata=_CAPACITY)
    refill_frequency: float = attrs.field(metadata=_PERIOD)
    unit: Unit = "requests"
    by: Sequence[str] = attrs.field(default=("api-key",), validator=_segments)
    models: Sequence[str] | None = None
    name: str = attrs.field(default="", validator=_named)


@attrs.frozen
class RateLimitConfig:
    """The config of ``rate-limit``. Without any limit, each API key has 500 requests a second.

    Args:
        per_api_key: A limit of requests for each API key.
        limits: Further limits; a request must keep them all, and one that is refused is counted by none.
        state: The name of the state store that counts.
        on_failure: What becomes of requests while the store does not answer: ``deny`` refuses them with 503, ``allow``
            lets them through uncounted.
        timeout: Seconds that the store may take for one request.
        pause: Seconds for which a store that did not answer is not asked again.
        assumed_output: The output tokens that a request is taken to need while its answer is not known, where it sets
            no bound itself; limits of tokens only.
        policy_header: Whether callers may limit themselves further, by the header ``Helicone-RateLimit-Policy``.
    """

    per_api_key: PerApiKeyConfig | None = None
    limits: Sequence[LimitConfig] = ()
    state: str = "memory"
    on_failure: Literal["deny", "allow"] = "deny"
    timeout: float = attrs.field(default=0.5, metadata=_LONGEST_WAIT)
    pause: float = attrs.field(default=1.0, metadata={"minimum": 0, "maximum": 60, "seconds": True})
    assumed_output: int = attrs.field(default=1000, metadata={"minimum": 0, "maximum": 10**9})
    policy_header: bool = False

    def all_limits(self) -> Sequence[LimitConfig]:
        """Every limit, that of the API keys first."""
        own = self.per_api_key or (None if self.limits or self.policy_header else PerApiKeyConfig())
        first = () if own is None else (LimitConfig(own.capacity, own.refill_frequency),)
        return (*first, *self.limits)
