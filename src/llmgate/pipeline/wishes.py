"""What a caller asks of routing for one request, in its headers.

The words are Helicone's where Helicone has any; ``llmgate-*`` are our own. None of these headers goes upstream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import attrs

from llmgate.config.model import RetryConfig
from llmgate.spec import InvalidRequestError

from .fallbacks import Fallback, read_fallbacks

__all__ = ["Shortening", "Wishes", "wishes_of"]

Shortening: TypeAlias = Literal["truncate", "middle-out", "fallback"]
"""What becomes of a request that is too long for its model."""

_FORCED: Final = "helicone-forced-routing"
_FALLBACKS: Final = "helicone-fallbacks"
_FAILOVER: Final = "llmgate-failover"
_TOO_LONG: Final = "helicone-token-limit-exception-handler"
_TAGS: Final = "llmgate-tags"
_RETRIES: Final = "helicone-retry-enabled"
_NAMES: Final = frozenset({_FORCED, _FALLBACKS, _FAILOVER, _TOO_LONG, _TAGS, _RETRIES})

_SWITCH: Final = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False
}  # fmt: skip


@attrs.frozen
class Wishes:
    """What a caller asks of routing.

    Args:
        provider: The only provider that may serve the request.
        fallbacks: Where it is to be tried, in the place of what routing finds; empty for nothing said.
        alone: Whether it is tried at one deployment only.
        tags: Tags that a deployment must carry to serve it.
        retries: How often an attempt is repeated; None where it does not say.
        too_long: What becomes of it where it is too long for its model; None where it does not say.
    """

    provider: str | None = None
    fallbacks: tuple[Fallback, ...] = ()
    alone: bool = False
    too_long: Shortening | None = None
    tags: frozenset[str] = frozenset()
    retries: RetryConfig | None = None


def wishes_of(headers: Mapping[str, str]) -> Wishes | None:
    """What a caller's headers ask of routing; None where they ask for nothing.

    Args:
        headers: The caller's headers, lower-case names.

    Raises:
        InvalidRequestError: a header cannot be read, and the message says how to write it, or two contradict each other
            and it names them.
    """
    if _NAMES.isdisjoint(headers):
        return None
    fallbacks = headers.get(_FALLBACKS)
    wishes = Wishes(
        provider=headers.get(_FORCED, "").strip() or None,
        fallbacks=read_fallbacks(fallbacks) if fallbacks is not None else (),
        alone=not _switch(_FAILOVER, headers.get(_FAILOVER, "true")),
        too_long=_handler(headers.get(_TOO_LONG)),
        retries=_retries(headers),
        tags=frozenset(tag for part in headers.get(_TAGS, "").split(",") if (tag := part.strip())),
    )
    if wishes.fallbacks and (wishes.provider is not None or wishes.alone):
        other = _FAILOVER if wishes.provider is None else _FORCED
        raise InvalidRequestError(
            f"{_FALLBACKS} lists where the request may go, and {other} forbids all but one place: send one of the two",
            code="invalid_routing_header",
        )
    return wishes


def _handler(text: str | None) -> Shortening | None:
    if text is None:
        return None
    handlers: dict[str, Shortening] = {word: word for word in get_args(Shortening)}
    found = handlers.get(text.strip().lower())
    if found is None:
        raise InvalidRequestError(
            f"{_TOO_LONG} must be one of {', '.join(handlers)}, not {text[:40]!r}", code="invalid_routing_header"
        )
    return found


def _retries(headers: Mapping[str, str]) -> RetryConfig | None:
    """Helicone's retries: their number, and waits in milliseconds, as its documentation has them."""
    if _RETRIES not in headers:
        return None
    if not _switch(_RETRIES, headers[_RETRIES]):
        return RetryConfig(max_retries=0)
    longest = _number(headers, "helicone-retry-max-timeout", 10_000.0, 600_000.0) / 1000
    return RetryConfig(
        max_retries=int(_number(headers, "helicone-retry-num", 5.0, 20.0)),
        min_delay=min(longest, _number(headers, "helicone-retry-min-timeout", 1000.0, 600_000.0) / 1000),
        max_delay=longest,
        factor=_number(headers, "helicone-retry-factor", 2.0, 100.0),
    )


def _number(headers: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = headers.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise InvalidRequestError(
            f"{name} must be a number from 0 to {most:g}, not {text[:40]!r}", code="invalid_routing_header"
        )
    return number


def _switch(name: str, text: str) -> bool:
    found = _SWITCH.get(text.strip().lower())
    if found is None:
        raise InvalidRequestError(f"{name} must be true or false, not {text[:40]!r}", code="invalid_routing_header")
    return found
