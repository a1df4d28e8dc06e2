"""What ``request-rules`` can be told; every rule is off until it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

__all__ = ["RequestRulesConfig"]

_OVER_LIMIT: Final = ("lower", "refuse")


def _word(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value not in _OVER_LIMIT:
        raise ValueError(f"{attribute.name.replace('_', '-')}: {value!r} is not one of {', '.join(_OVER_LIMIT)}")


def _positive(_: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"{attribute.name.replace('_', '-')} must be above 0, not {value}")


@attrs.frozen
class RequestRulesConfig:
    """The config of ``request-rules``.

    Args:
        models: Patterns (``fnmatch``) of the models that may be asked for; None for all.
        upstream_models: Patterns of the models that may serve a request, as ``provider/model`` or by the provider's own
            name alone; None for all.
        max_output_tokens: Upper bound of the output tokens that a request may allow; set where a request sets none.
        over_limit: What becomes of a request that allows more output tokens: ``lower`` the number, or ``refuse`` it.
        max_output_characters: Upper bound of the text of one answer; the rest is cut off, and the answer says that its
            length was limited.
        max_concurrent_attempts: How many attempts may run at one deployment at once; one that is full is skipped.
            Several workers are served with it only under ``server.local-share``, and divide it among them.
        count_output: Whether the characters of each answer's text are counted into the notes of the exchange.
        metadata: Labels for the record of each request; they win over labels of the caller with the same names.
    """

    models: Sequence[str] | None = None
    upstream_models: Sequence[str] | None = None
    max_output_tokens: int | None = attrs.field(default=None, validator=_positive)
    over_limit: str = attrs.field(default="lower", validator=_word)
    max_output_characters: int | None = attrs.field(default=None, validator=_positive)
    max_concurrent_attempts: int | None = attrs.field(default=None, validator=_positive)
    count_output: bool = False
    metadata: Mapping[str, str] = attrs.field(factory=dict)
