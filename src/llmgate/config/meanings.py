"""What the fields of an attrs class mean, taken from its own docstring, so that a key is explained in one place."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

import attrs

__all__ = ["key_of", "meanings", "says_seconds", "settable"]

_FIELD: Final = re.compile(r"(\w+)(?: \([^)]*\))?:\s+(.*)")
_SECONDS: Final = re.compile(r"\bseconds?\b", re.IGNORECASE)
_TIME_NAMES: Final = re.compile(r"(?:^|_)(?:ttl|timeout|interval|delay|period|window|age|seconds|decay|duration)$")


def meanings(cls: type[Any]) -> dict[str, str]:
    """The sentence that the ``Args`` section of a class gives each field, by field name, where it gives one."""
    found: dict[str, str] = {}
    name = ""
    inside = False
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        if not line.startswith(" ") and line.strip():
            inside = line.strip() in {"Args:", "Attributes:"}
            continue
        if not inside or not line.strip():
            continue
        match = _FIELD.match(line.strip()) if len(line) - len(line.lstrip()) <= 4 else None
        if match is not None:
            name = match[1]
            found[name] = match[2].strip()
        elif name:
            found[name] += f" {line.strip()}"
    return found


def settable(cls: type[Any]) -> list[attrs.Attribute[Any]]:
    """The fields of an attrs class that a configuration can set; those that are sections are read apart."""
    return [field for field in attrs.fields(cls) if field.init and not field.metadata.get("section")]


def key_of(field: attrs.Attribute[Any]) -> str:
    """The key of a field: its metadata's ``key``, else its name in kebab-case."""
    return str(field.metadata.get("key") or (field.alias or field.name).replace("_", "-").strip("-"))


def says_seconds(cls: type[Any], field: attrs.Attribute[Any]) -> bool:
    """Whether a field is a length of time: by its metadata (``seconds``), its name, or what its docstring says."""
    if "seconds" in field.metadata:
        return bool(field.metadata["seconds"])
    return bool(_TIME_NAMES.search(field.name) or _SECONDS.search(meanings(cls).get(field.name, "")))
