"""Fields of configurations that check what they are given, alike in whatever stage they stand.

What is wrong is told by a ``ValueError`` whose second argument is the field, so that the configuration's reader can
name the line; embedders who make the classes themselves get the same sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

__all__ = ["bounded", "words_of"]


def bounded(
    default: Any = attrs.NOTHING,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    above: float | None = None,
) -> Any:
    """A field for a number within bounds, which the configuration's reader and its JSON schema know, too.

    Args:
        default: What it is where nothing is said; None for a number that need not be there.
        minimum: The least that is allowed.
        maximum: The most.
        above: What must be exceeded.
    """
    bounds = {"minimum": minimum, "maximum": maximum, "above": above}
    said = {name: bound for name, bound in bounds.items() if bound is not None}
    return attrs.field(default=default, validator=_within, metadata=said)


def words_of(known: Sequence[str]) -> Callable[[Any, attrs.Attribute[Any], str | Sequence[str] | None], None]:
    """A validator that takes one of some words, or several of them, or None.

    Args:
        known: The words.
    """

    def check(_: Any, field: attrs.Attribute[Any], said: str | Sequence[str] | None) -> None:
        for word in (said,) if isinstance(said, str) else said or ():
            if word not in known:
                raise ValueError(f"{_key(field)}: {word[:64]!r} is not one of {', '.join(known)}", field)

    return check


def _within(_: Any, field: attrs.Attribute[Any], value: float | None) -> None:
    if value is None:
        return
    least, most, above = (field.metadata.get(name) for name in ("minimum", "maximum", "above"))
    # Compared so that what is no number, NaN, is within no bounds.
    if (least is None or value >= least) and (most is None or value <= most) and (above is None or value > above):
        return
    if least is not None and most is not None:
        must = f"from {least:g} to {most:g}"
    else:
        named = (("at least", least), ("more than", above), ("at most", most))
        must = " and ".join(f"{word} {bound:g}" for word, bound in named if bound is not None)
    raise ValueError(f"{_key(field)} must be {must}, not {value:g}", field)


def _key(field: attrs.Attribute[Any]) -> str:
    return field.name.replace("_", "-")
