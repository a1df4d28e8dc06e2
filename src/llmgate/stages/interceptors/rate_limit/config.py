"""What ``rate-limit`` can be told."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import attrs

__all__ = ["LimitConfig", "PerApiKeyConfig", "RateLimitConfig", "UnitName", "Window"]

UnitName: TypeAlias = Literal["requests", "tokens", "input-tokens", "output-tokens", "cents", "concurrent"]
Window: TypeAlias = Literal["minute", "hour", "day", "week", "month", "year"]

_SEGMENT: Final = re.compile(
    r"api-key|ip|user|team|model|provider|router|surface|(?:property|header|attribute):[A-Za-z0-9_.-]{1,64}"
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_CAPACITY: Final = {"minimum": 1, "maximum": 10**12}
_PERIOD: Final = {"above": 0, "maximum": 366 * 86400}
_LONGEST_WAIT: Final = {"above": 0, "maximum": 0.5}


def _segments(_: object, attribute: attrs.Attribute[Sequence[str]], value: Sequence[str]) -> None:
    for one in value:
        if not _SEGMENT.fullmatch(one):
            raise ValueError(
                f"{attribute.name}: {one!r} is nothing to count by: write api-key, ip, user, team, model, provider, "
                "router, surface, property:NAME, header:NAME or attribute:NAME"
            )


def _named(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{attribute.name}: {value!r} must be 1 to 64 lower-case letters, digits and '-'")


def _zone(_: object, __: attrs.Attribute[str], value: str) -> None:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if value != "UTC":
            raise ValueError(
                f"time-zone: {value!r} is not known here: write UTC, or Europe/Berlin for example"
            ) from None


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
        capacity: How much may be asked for at once, or within ``window``.
        refill_frequency: Seconds in which the whole capacity comes back, evenly.
        unit: What is counted: ``requests``, or ``tokens``, ``input-tokens``, ``output-tokens`` of the answers, or
            ``cents`` (hundredths of a USD that they cost), or ``concurrent``: the requests that are under way, which
            takes no time.
        by: What is counted apart: ``api-key`` (the caller, or the address of one who is nobody), ``ip``, ``user``,
            ``team`` (the caller's attribute of that name), ``model``, ``provider``, ``router``, ``surface``,
            ``property:NAME`` (the header ``Helicone-Property-NAME``), ``header:NAME`` or ``attribute:NAME`` (of the
            caller, as its auth provider knows it). Nothing means that all requests count together.
        models: Patterns (``fnmatch``) of the models asked for to which it applies; None for all.
        name: What refusals and records call it; without it, what it counts.
        window: The part of the calendar at whose end all of the capacity comes back at once, in place of
            ``refill-frequency``.
        time_zone: The time zone of that calendar.
        unknown_price: ``cents`` only: what becomes of attempts at deployments whose price is not known: ``deny`` leaves
            them out, ``allow`` makes them uncounted.
    """

    capacity: int = attrs.field(metadata=_CAPACITY)
    refill_frequency: float | None = attrs.field(default=None, metadata={**_PERIOD, "seconds": True})
    unit: UnitName = "requests"
    by: Sequence[str] = attrs.field(default=("api-key",), validator=_segments)
    models: Sequence[str] | None = None
    name: str = attrs.field(default="", validator=_named)
    window: Window | None = attrs.field(default=None, metadata={"seconds": False})
    time_zone: str = attrs.field(default="UTC", validator=_zone, metadata={"seconds": False})
    unknown_price: Literal["deny", "allow"] = "deny"

    def __attrs_post_init__(self) -> None:
        given = (self.refill_frequency is not None) + (self.window is not None)
        if self.unit == "concurrent" and given:
            raise ValueError("a limit of concurrent requests has no time: take refill-frequency and window out")
        if self.unit != "concurrent" and given != 1:
            raise ValueError("write either refill-frequency, 1m for example, or window, month for example")


@attrs.frozen
class RateLimitConfig:
    """The config of ``rate-limit``. Without any limit, each API key has 500 requests a second.

    Args:
        per_api_key: A limit of requests for each API key.
        limits: Further limits; a request must keep them all, and one that is refused is counted by none.
        state: The name of the state store that counts.
        on_failure: What becomes of requests while the store does not answer: ``deny`` refuses them with 503, ``allow``
            lets them through uncounted, ``local-share`` counts them in this process, which then grants its part.
        processes: Among how many processes, on all machines, ``local-share`` divides a limit; 0 for the workers here.
        timeout: Seconds that the store may take for one request.
        pause: Seconds for which a store that did not answer is not asked again.
        assumed_output: The output tokens that a request is taken to need while its answer is not known, where it sets
            no bound itself; limits of tokens only.
        wait: Seconds for which a request that is over a limit waits for its turn rather than being refused.
        max_waiting: Requests that may wait at once; more are refused.
        lease: Seconds after which the places of concurrent requests come free whose process has died.
        own_limits: Whether limits are kept that callers have by themselves, as issued keys may.
        policy_header: Whether callers may limit themselves further, by the header ``Helicone-RateLimit-Policy``.
    """

    per_api_key: PerApiKeyConfig | None = None
    limits: Sequence[LimitConfig] = ()
    state: str = "memory"
    on_failure: Literal["deny", "allow", "local-share"] = "deny"
    processes: int = attrs.field(default=0, metadata={"minimum": 0, "maximum": 10**6})
    timeout: float = attrs.field(default=0.5, metadata=_LONGEST_WAIT)
    pause: float = attrs.field(default=1.0, metadata={"minimum": 0, "maximum": 60, "seconds": True})
    assumed_output: int = attrs.field(default=1000, metadata={"minimum": 0, "maximum": 10**9})
    policy_header: bool = False
    own_limits: bool = False
    wait: float = attrs.field(default=0.0, metadata={"minimum": 0, "maximum": 3600, "seconds": True})
    max_waiting: int = attrs.field(default=1000, metadata={"minimum": 1, "maximum": 10**6})
    lease: float = attrs.field(default=60.0, metadata={"minimum": 1, "maximum": 3600, "seconds": True})

    def all_limits(self) -> Sequence[LimitConfig]:
        """Every limit, that of the API keys first."""
        own = self.per_api_key or (None if self.limits or self.policy_header or self.own_limits else PerApiKeyConfig())
        first = () if own is None else (LimitConfig(own.capacity, own.refill_frequency),)
        return (*first, *self.limits)
