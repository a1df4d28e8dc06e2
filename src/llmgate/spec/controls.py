"""What a caller in process says beside its request: the same that HTTP callers say in headers, with names and types."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

__all__ = ["Controls", "ControlsLike", "control_headers"]

_NAMES: Final[Mapping[str, str]] = {
    "provider": "helicone-forced-routing",
    "fallbacks": "helicone-fallbacks",
    "failover": "llmgate-failover",
    "tags": "llmgate-tags",
    "too_long": "helicone-token-limit-exception-handler",
    "cache": "helicone-cache-enabled",
    "cache_read": "helicone-cache-read",
    "cache_save": "helicone-cache-save",
    "cache_buckets": "helicone-cache-bucket-max-size",
    "cache_seed": "helicone-cache-seed",
    "cache_ignore_keys": "helicone-cache-ignore-keys",
    "cache_control": "cache-control",
    "rate_limit_policy": "helicone-ratelimit-policy",
    "stream_cost": "llmgate-stream-cost",
    "omit_request": "helicone-omit-request",
    "omit_response": "helicone-omit-response",
    "user": "helicone-user-id",
    "session_id": "helicone-session-id",
    "session_path": "helicone-session-path",
    "session_name": "helicone-session-name",
    "prompt_id": "helicone-prompt-id",
}
"""The header of each field that has one of its own."""
_PREFIXES: Final = ("helicone-", "llmgate-")
_ELSEWHERE: Final[Mapping[str, str]] = {
    "helicone-auth": "say who asks by api_key=, credentials= or principal=",
    "helicone-target-url": "use a client of llmgate.sdk, or configure the target as a provider",
    "helicone-target-provider": "use a client of llmgate.sdk, or configure the target as a provider",
}


@attrs.frozen(kw_only=True)
class Controls:
    """What a caller asks of the gateway for one request: ``pipeline.complete(..., controls=Controls(cache=False))``.

    Each field stands for a header, is judged where that is judged, and says nothing while it is None or empty.

    Args:
        provider: The only provider that may serve the request.
        fallbacks: Where it is to be tried, in the place of what routing finds; entries as in ``Helicone-Fallbacks``.
        failover: False to try no deployment but the first.
        tags: Tags that a deployment must carry.
        too_long: What becomes of it where it is too long for its models.
        retries: Rounds of repeats in the place of those that are configured; 0 for none.
        retry_factor: By what the waits between them grow.
        retry_min_wait: Seconds up to which the first wait is drawn.
        retry_max_wait: Seconds up to which a wait may grow.
        cache: Whether the cache is used at all.
        cache_read: Whether it may answer.
        cache_save: Whether it keeps the answer.
        cache_buckets: How many answers it keeps for one request.
        cache_seed: Keeps answers apart from those of other seeds.
        cache_ignore_keys: Fields of the body in which two equal requests may differ.
        cache_control: ``Cache-Control`` as HTTP has it.
        rate_limit_policy: A limit that the caller sets itself: ``100;w=3600;u=cents``.
        stream_cost: Whether the usage of a stream tells what it cost.
        omit_request: Whether no record keeps what is asked.
        omit_response: Whether no record keeps what is answered.
        user: For whom the caller asks.
        session_id: Its session.
        session_path: Where in the session it is.
        session_name: What the session is called.
        prompt_id: Which prompt it uses.
        properties: Labels for limits and the record.
        others: Further headers that begin with ``llmgate-`` or ``helicone-``, for interceptors of plugins.
    """

    provider: str | None = None
    fallbacks: Sequence[Mapping[str, Any]] = ()
    failover: bool | None = None
    tags: Sequence[str] = ()
    too_long: Literal["truncate", "middle-out", "fallback"] | None = None
    retries: int | None = None
    retry_factor: float | None = None
    retry_min_wait: float | None = None
    retry_max_wait: float | None = None
    cache: bool | None = None
    cache_read: bool | None = None
    cache_save: bool | None = None
    cache_buckets: int | None = None
    cache_seed: str | None = None
    cache_ignore_keys: Sequence[str] = ()
    cache_control: str | None = None
    rate_limit_policy: str | None = None
    stream_cost: bool | None = None
    omit_request: bool | None = None
    omit_response: bool | None = None
    user: str | None = None
    session_id: str | None = None
    session_path: str | None = None
    session_name: str | None = None
    prompt_id: str | None = None
    properties: Mapping[str, str] = attrs.field(factory=dict)
    others: Mapping[str, str] = attrs.field(factory=dict)

    def headers(self) -> dict[str, str]:
        """The headers that say the same, lower-case names; these are what stages see.

        Raises:
            TypeError: a field holds what no header can say.
            ValueError: a name among ``others`` means nothing here.
        """
        found = dict(_checked(self.others))
        for field, header in _NAMES.items():
            text = _text(field, getattr(self, field))
            if text is not None:
                found[header] = text
        found |= {f"helicone-property-{name.lower()}": str(value) for name, value in self.properties.items()}
        return found | self._repeats()

    def _repeats(self) -> dict[str, str]:
        waits = {"min-timeout": self.retry_min_wait, "max-timeout": self.retry_max_wait}
        said = {name: f"{seconds * 1000:g}" for name, seconds in waits.items() if seconds is not None}
        if self.retry_factor is not None:
            said["factor"] = f"{self.retry_factor:g}"
        if self.retries is None:
            if said:
                raise TypeError("controls: retry_factor, retry_min_wait and retry_max_wait need retries")
            return {}
        if self.retries == 0:
            return {"helicone-retry-enabled": "false"}
        said = {"enabled": "true", "num": str(self.retries), **said}
        return {f"helicone-retry-{name}": text for name, text in said.items()}


ControlsLike: TypeAlias = "Controls | Mapping[str, str]"
"""Controls, or the headers that say the same."""


def control_headers(controls: ControlsLike | None) -> Mapping[str, str]:
    """The headers that a caller in process means, lower-case names.

    Args:
        controls: What it gave; None for nothing.

    Raises:
        TypeError: what it gave are no controls.
        ValueError: it names a header that is none, or that is said by another argument.
    """
    if controls is None:
        return {}
    if isinstance(controls, Controls):
        return controls.headers()
    if not isinstance(controls, Mapping):
        raise TypeError(f"controls must be Controls or a mapping of headers, not {type(controls).__name__}")
    return _checked(controls)


def _checked(headers: Mapping[Any, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for given, value in headers.items():
        name = given.lower() if isinstance(given, str) else ""
        if name in _ELSEWHERE:
            raise ValueError(f"controls: {given} is not for this place: {_ELSEWHERE[name]}")
        if not (name == "cache-control" or name.startswith(_PREFIXES)):
            raise ValueError(
                f"controls: {given!r} is nothing that the gateway is told: write Cache-Control, or a header that "
                "begins with Helicone- or Llmgate-"
            )
        if not isinstance(value, str):
            raise TypeError(f"controls: {given} must be text, as in a header, not {type(value).__name__}")
        if name in found:
            raise ValueError(f"controls: {given} is given twice")
        found[name] = value
    return found


def _text(field: str, value: object) -> str | None:
    """What a header says; None for nothing."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float() if math.isfinite(value):
            return f"{value:g}" if isinstance(value, float) else str(value)
        case [] | ():
            return None
        case list() | tuple() if field == "fallbacks":
            return json.dumps(value, default=dict)
        case list() | tuple() if all(isinstance(one, str) and "," not in one for one in value):
            return ", ".join(value)
    raise TypeError(f"controls: {field} cannot be {value!r:.60}")
