"""What is wanted of the cache for one request: the configuration, and what the caller says in headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from llmgate.spec import InvalidRequestError

from .config import MOST_BUCKETS, CacheConfig
from .directives import Directives, read_directives

__all__ = ["WishBook", "Wishes", "read_wishes"]

_PREFIXES: Final = ("llmgate-cache-", "helicone-cache-")
_SAYING: Final = (*_PREFIXES, "cache-control")
_MOST_KNOWN: Final = 1000
"""Different things that callers say which are remembered."""
_LONGEST_KNOWN: Final = 1000
"""Characters of what is remembered of one caller."""
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_MOST_KEYS: Final = 100


@attrs.frozen
class Wishes:
    """What is wanted.

    Args:
        reads: Whether a kept answer may be given.
        saves: Whether the new answer is kept.
        only: Whether nothing but a kept answer is wanted.
        lifetime: Seconds for which a new answer is fresh.
        oldest: The age in seconds up to which a kept answer is given while it is fresh; None for any.
        stale: Seconds past its freshness for which it is given all the same.
        revalidate: Seconds past its freshness for which it is given while another request fetches it anew.
        margin: Seconds for which it must still be fresh.
        buckets: How many answers are kept.
        seed: What keeps answers apart.
        ignored: Fields of the body that do not count, sorted.
    """

    reads: bool
    saves: bool
    only: bool
    lifetime: float
    oldest: float | None
    stale: float
    revalidate: float
    margin: float
    buckets: int
    seed: tuple[str, str]
    ignored: tuple[str, ...]


class WishBook:
    """Reads what is wanted; where callers say the same it has been read before.

    Args:
        config: The configuration.
        directive: Its ``directive``, read.
    """

    def __init__(self, config: CacheConfig, directive: Directives) -> None:
        self._config = config
        self._directive = directive
        self._known: dict[tuple[tuple[str, str], ...], Wishes | None] = {}

    def read(self, controls: Mapping[str, str]) -> Wishes | None:
        """As ``read_wishes``."""
        said = tuple([one for one in controls.items() if one[0].startswith(_SAYING)]) if controls else ()
        try:
            return self._known[said]
        except KeyError:
            pass
        wishes = read_wishes(self._config, self._directive, controls)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        if sum(len(value) for _, value in said) <= _LONGEST_KNOWN:
            self._known[said] = wishes
        return wishes


def read_wishes(config: CacheConfig, directive: Directives, controls: Mapping[str, str]) -> Wishes | None:
    """What is wanted for one request; None where the cache is to be left out.

    Args:
        config: The configuration.
        directive: Its ``directive``, read.
        controls: The caller's headers for the gateway, by lower-case name.

    Raises:
        InvalidRequestError: a header cannot be understood.
    """
    if not _switch(controls, "enabled", default=config.enabled):
        return None
    asked = _asked(controls)
    said = asked or directive
    if said.no_store:
        return None
    age = None if asked is None else asked.age
    longest = config.longest_age if directive.age is None else min(directive.age, config.longest_age)
    lifetime = min(_first(age, directive.age, config.max_age), longest)
    return Wishes(
        reads=_switch(controls, "read", default=True) and not said.no_cache,
        saves=_switch(controls, "save", default=True) and lifetime > 0,
        only=said.only_if_cached,
        lifetime=lifetime,
        oldest=age,
        stale=said.max_stale or 0.0,
        revalidate=directive.revalidate or 0.0,
        margin=said.min_fresh or 0.0,
        buckets=_buckets(controls, config.buckets),
        seed=(config.seed, _header(controls, "seed") or ""),
        ignored=_ignored(controls, config),
    )


def _asked(controls: Mapping[str, str]) -> Directives | None:
    text = controls.get("cache-control")
    if not text:
        return None
    try:
        return read_directives(text)
    except ValueError as wrong:
        raise InvalidRequestError(f"cache-control: {wrong}", code="invalid_cache_control") from None


def _header(controls: Mapping[str, str], name: str) -> str | None:
    for prefix in _PREFIXES:
        value = controls.get(prefix + name)
        if value is not None:
            return value.strip()
    return None


def _switch(controls: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = _header(controls, name)
    if value is None or value.lower() in _TRUE:
        return default if value is None else True
    if value.lower() in _FALSE:
        return False
    raise InvalidRequestError(
        f"helicone-cache-{name} must be true or false, not {value[:40]!r}", code="invalid_cache_control"
    )


def _buckets(controls: Mapping[str, str], default: int) -> int:
    value = _header(controls, "bucket-max-size")
    if value is None:
        return default
    if value.isascii() and value.isdecimal() and 1 <= int(value[:4]) <= MOST_BUCKETS:
        return int(value)
    raise InvalidRequestError(
        f"helicone-cache-bucket-max-size must be a whole number between 1 and {MOST_BUCKETS}, not {value[:40]!r}",
        code="invalid_cache_control",
    )


def _ignored(controls: Mapping[str, str], config: CacheConfig) -> tuple[str, ...]:
    value = _header(controls, "ignore-keys")
    names = {*config.ignore_keys}
    if value is not None:
        names |= {name.strip() for name in value.split(",") if name.strip()}
    if len(names) > _MOST_KEYS:
        raise InvalidRequestError(
            f"helicone-cache-ignore-keys names more than {_MOST_KEYS} fields", code="invalid_cache_control"
        )
    return tuple(sorted(names))


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
