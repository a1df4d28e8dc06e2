"""The word that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, None where none is close; case and ``_`` for ``-`` do not count."""
    words = {candidate.lower().replace("_", "-"): candidate for candidate in sorted(known)}
    found = difflib.get_close_matches(word[:64].lower().replace("_", "-"), words, n=1, cutoff=0.6)
    return words[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with the nearest known word, ``""`` where none is close."""
    found = nearest(word, known)
    return f" (did you mean {found!r}?)" if found is not None else ""
