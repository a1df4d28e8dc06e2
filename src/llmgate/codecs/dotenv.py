"""``.env`` files as text: here because the configuration and the ``env`` secret store must read them alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["parse", "unread_lines"]

_NAME: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*=[ \t]*")
_DOUBLE: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_REST: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")


def parse(text: str) -> dict[str, str]:
    r"""The variables that a ``.env`` file sets.

    ``NAME=value`` a line, with or without ``export`` before it. A value in single quotes is taken literally, one in
    double quotes knows ``\n``, ``\r``, ``\t``, ``\"``, ``\\`` and ``\$``; both may run over several lines. A bare value
    ends at the line's end or before `` #``. Nothing is interpolated. A later line wins over an earlier one. A line that
    is none of this means nothing (``unread_lines`` names it), since such files are often shared with other programs.

    Args:
        text: The content of the file.

    Returns:
        Values by name, in the order in which the names first appear.
    """
    return {name: value for _, name, value in _lines(text) if name is not None}


def unread_lines(text: str) -> list[int]:
    """The numbers, from 1, of the lines that are neither blank, comment nor assignment."""
    return [number for number, name, _ in _lines(text) if name is None]


def _lines(text: str) -> Iterator[tuple[int, str | None, str]]:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    position, number, end = 0, 1, len(text)
    while position < end:
        line_end = text.find("\n", position)
        line_end = end if line_end < 0 else line_end
        start = position + len(text[position:line_end]) - len(text[position:line_end].lstrip(" \t"))
        position = line_end + 1
        if start == line_end or text[start] == "#":
            number += 1
            continue
        match = _NAME.match(text, start, line_end)
        if match is None:
            yield number, None, ""
            number += 1
            continue
        value, value_end = _value(text, match.end(), line_end)
        yield number, match[1], value
        number += text.count("\n", line_end, value_end) + 1
        position = max(position, value_end + 1)


def _value(text: str, start: int, line_end: int) -> tuple[str, int]:
    """The value that begins at ``start``, and the index of the line end after it."""
    quote = text[start : start + 1] if start < line_end else ""
    if quote in {"'", '"'} and quote:
        close = _closing(text, start + 1, quote)
        rest = _REST.match(text, close + 1) if close >= 0 else None
        if rest is not None:
            inner = text[start + 1 : close]
            return (inner if quote == "'" else _ESCAPE.sub(_unescape, inner)), rest.end()
    bare = re.split(r"(?:^|[ \t])#", text[start:line_end], maxsplit=1)[0]
    return bare.strip(" \t"), line_end


def _closing(text: str, start: int, quote: str) -> int:
    """The index of the quote that ends the value, -1 when none does."""
    if quote == "'":
        return text.find("'", start)
    match = _DOUBLE.match(text, start)
    return match.end() - 1 if match is not None else -1


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[1], match[0])
