"""The reference of every key, for the documentation: the gateway's own, and those of the stages that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import attrs

from llmgate.spec import KINDS, Stage

from .keys import Key, key_table
from .meanings import key_of, meanings, settable
from .stages import Find, Names

__all__ = ["Key", "as_markdown", "key_table", "stage_keys"]


def stage_keys(find: Find, names: Names) -> Sequence[Key]:
    """Every key of every installed stage, as ``kind.stage.key``."""
    found = []
    for kind in KINDS:
        for name in names(kind.id):
            stage = find(kind.id, name)
            if stage is not None:
                found.extend(_keys_of(f"{kind.id}.{name}", stage))
    return found


def as_markdown(keys: Sequence[Key]) -> str:
    """The keys as a Markdown table."""
    rows = [
        f"| `{key.path}` | {_cell(key.type)} | {_cell(key.default, code=True)} | {_cell(_meaning(key))} |"
        for key in keys
    ]
    return "\n".join(["| key | takes | without it | meaning |", "|---|---|---|---|", *rows, ""])


def _keys_of(path: str, stage: type[Stage[Any]]) -> list[Key]:
    said = meanings(stage.config_class)
    return [
        Key(
            path=f"{path}.{key_of(field)}",
            type=_type_name(field.type),
            default=_default(field),
            meaning=said.get(field.name, "").rstrip("."),
        )
        for field in settable(stage.config_class)
    ]


def _type_name(annotation: Any) -> str:
    """The annotation as the author wrote it."""
    return annotation if isinstance(annotation, str) else str(getattr(annotation, "__name__", annotation))


def _default(field: attrs.Attribute[Any]) -> str:
    value = field.default
    if value is attrs.NOTHING:
        return "required"
    if value is None or value == () or isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value if isinstance(value, Enum) else value)


def _meaning(key: Key) -> str:
    status = "" if key.status == "works" else f" ({key.status}: an error that says so)"
    return key.meaning.replace("``", "`") + status


def _cell(text: str, *, code: bool = False) -> str:
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`" if code and escaped else escaped
