"""What the configuration may say: each field is a key, in kebab-case in the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs
from llmgate.spec import Record, Usage

__all__ = ["ExampleLoggerConfig"]

_KNOWN: Final = frozenset(field.name for cls in (Record, Usage) for field in attrs.fields(cls))
_USUAL: Final = (
    "id",
    "started_at",
    "outcome",
    "status",
    "principal",
    "request_model",
    "provider_name",
    "duration",
    "input_tokens",
    "output_tokens",
)


def _known(_: object, __: object, columns: Sequence[str]) -> None:
    unknown = ", ".join(sorted(set(columns) - _KNOWN))
    if unknown or not columns:
        raise ValueError(f"columns: {unknown or 'none'}: list fields of a record, such as {', '.join(_USUAL)}")


@attrs.frozen
class ExampleLoggerConfig:
    """The keys of ``example``.

    Args:
        path: The file, relative to the configuration; lines are added at its end.
        columns: Fields of the record and of its usage, in the order in which they are written.
    """

    path: str = attrs.field(validator=attrs.validators.min_len(1))
    columns: Sequence[str] = attrs.field(default=_USUAL, validator=_known)
