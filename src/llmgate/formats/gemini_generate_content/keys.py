"""Reading JSON as Google's servers do: names in both spellings, one value where a list may stand, numbers as text.

Source: Protocol Buffers documentation, "ProtoJSON Format": parsers take ``lowerCamelCase`` names and the original
``snake_case`` ones, and numbers written as strings. One element in place of an array is in Google's own examples.
"""

from __future__ import annotations

import re
from typing import Any, Final

from llmgate.formats.fields import ShapeError, as_object

__all__ = ["FORMAT", "as_camel", "as_float", "as_items", "as_whole", "camel"]

FORMAT: Final = "gemini-generate-content"

_SEPARATED: Final = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


def camel(name: str) -> str:
    """The ``lowerCamelCase`` spelling of a field's name."""
    return _SEPARATED.sub(lambda found: found[1].upper(), name) if "_" in name else name


def as_camel(value: Any, path: str) -> dict[str, Any]:
    """The object with its own members named in ``lowerCamelCase``; what is inside them is left alone.

    Raises:
        ShapeError: it is no object, or says one thing under both spellings.
    """
    source = as_object(value, path)
    if not any("_" in name for name in source):
        return source
    renamed: dict[str, Any] = {}
    for name, one in source.items():
        spelled = camel(name)
        if spelled in renamed:
            raise ShapeError(f"{path}.{name}" if path else name, f"left out, or {spelled} with it")
        renamed[spelled] = one
    return renamed


def as_items(value: Any, path: str) -> list[tuple[Any, str]]:
    """The elements of an array and the place of each; an object stands for an array of one.

    Raises:
        ShapeError: it is neither.
    """
    if value is None:
        return []
    if isinstance(value, dict):
        return [(value, path)]
    if not isinstance(value, list):
        raise ShapeError(path, "an array")
    return [(one, f"{path}[{index}]") for index, one in enumerate(value)]


def as_whole(value: Any, path: str) -> int:
    """The value if it is a whole number, however it is written."""
    number = as_float(value, path, "an integer")
    if number != int(number):
        raise ShapeError(path, "an integer")
    return int(number)


def as_float(value: Any, path: str, expected: str = "a number") -> float:
    """The value if it is a number, as text too; an integer stays one."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}\.[0-9]{1,18}", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShapeError(path, expected)
    return value
