"""The YAML 1.2 core schema for plain scalars: ``no``, ``off``, ``1_000`` and ``12:30`` stay text."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["has_surrogate", "resolve"]

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER: Final = 64
"""No setting needs more, and Python converts long digit strings in quadratic time."""


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain scalar (YAML 1.2.2, 10.3.2).

    Args:
        text: The scalar as it was written, without quotes.

    Returns:
        None, a truth value, a number, or the text itself.
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 0)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if infinite := _INFINITE.fullmatch(text):
        return float(f"{infinite[1]}inf")
    return float("nan") if text in {".nan", ".NaN", ".NAN"} else text


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which no file, terminal or provider can be given."""
    return not text.isascii() and any(0xD800 <= ord(character) <= 0xDFFF for character in text)
