"""Reading JSON values whose shape is not known yet, with errors that name the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

__all__ = [
    "ShapeError",
    "as_boolean",
    "as_integer",
    "as_list",
    "as_number",
    "as_object",
    "as_text",
    "known_count",
    "merged",
    "optional",
    "rest",
]

T = TypeVar("T")
_MOST_COUNTED: Final = 10**12


class ShapeError(ValueError):
    """A field has not the shape that the wire format gives it; requests and responses make their own error of it.

    Args:
        path: The field, as a caller would write it: ``messages[2].content``.
        expected: What it must be.
    """

    def __init__(self, path: str, expected: str) -> None:
        super().__init__(f"{path} must be {expected}")
        self.path = path


def as_text(value: Any, path: str) -> str:
    """The value if it is a string."""
    if not isinstance(value, str):
        raise ShapeError(path, "a string")
    return value


def as_boolean(value: Any, path: str) -> bool:
    """The value if it is true or false."""
    if not isinstance(value, bool):
        raise ShapeError(path, "true or false")
    return value


def as_integer(value: Any, path: str) -> int:
    """The value if it is an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(path, "an integer")
    return value


def as_number(value: Any, path: str) -> float:
    """The value if it is a number; an integer stays one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ShapeError(path, "a number")
    return value


def known_count(value: Any) -> int | None:
    """What a provider has counted; None where it is no count, or one that no single answer can come to.

    Sums of what is counted are kept in 64 bits, by stores, by databases and by whoever reads them.
    """
    return value if type(value) is int and 0 <= value <= _MOST_COUNTED else None


def as_list(value: Any, path: str) -> list[Any]:
    """The value if it is an array."""
    if not isinstance(value, list):
        raise ShapeError(path, "an array")
    return value


def as_object(value: Any, path: str) -> dict[str, Any]:
    """The value if it is an object."""
    if not isinstance(value, dict):
        raise ShapeError(path, "an object")
    return value


def optional(source: Mapping[str, Any], name: str, read: Callable[[Any, str], T], path: str = "") -> T | None:
    """A member that may be absent or null.

    Args:
        source: The object.
        name: The member.
        read: What it must be otherwise.
        path: The object's own place, ``""`` for the top level.

    Raises:
        ShapeError: it is something else.
    """
    value = source.get(name)
    return None if value is None else read(value, f"{path}.{name}" if path else name)


def rest(source: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The members that have no place in the canonical types."""
    return {name: value for name, value in source.items() if name not in known}


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both objects in one, nested ones too; where they contradict each other, ``base`` counts."""
    result = dict(base)
    for name, value in more.items():
        if name not in result:
            result[name] = value
        elif isinstance(result[name], dict) and isinstance(value, dict):
            result[name] = merged(result[name], value)
    return result
