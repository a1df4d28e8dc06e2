"""Request bodies of any format: read once, written, and edited where they stand, with the errors of all formats."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmgate.codecs.jsons import JSONError, TopLevel, dumps, top
from llmgate.spec import EDITABLE_FIELDS, InvalidRequestError, OutputBound

from .fields import ShapeError

__all__ = ["check_editable", "naming_fields", "output_bound", "patched", "read_top", "written"]


def output_bound(read: TopLevel, names: Sequence[str], answers: str = "") -> OutputBound | None:
    """How much output the top level of a body allows; None where only decoding can tell what is wrong with it.

    Args:
        read: The top level.
        names: Fields that hold an upper bound of tokens.
        answers: The field that holds a number of answers, ``""`` where there is none.
    """
    bound, members = None, read.members
    for name in names:
        if name in members and (value := members[name][0]) is not None:
            if bound is not None or type(value) is not int:
                return None
            bound = value
    count = (answers in members and members[answers][0]) or 1
    return OutputBound(bound, count) if type(count) is int else None


def read_top(body: bytes) -> TopLevel:
    """The top level of a request body.

    Raises:
        InvalidRequestError: it is not a JSON object, or repeats a name.
    """
    try:
        return top(body)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None


@contextlib.contextmanager
def naming_fields() -> Iterator[None]:
    """Make errors in the shape of a request the caller's, naming the field.

    Raises:
        InvalidRequestError: a field inside the block had not the shape that it must have.
    """
    try:
        yield
    except ShapeError as error:
        raise InvalidRequestError(str(error), param=error.path) from None


def written(value: Mapping[str, Any]) -> bytes:
    """A request body.

    Raises:
        InvalidRequestError: it cannot be written as JSON (not a number, too deep).
    """
    try:
        return dumps(value)
    except JSONError as error:
        raise InvalidRequestError(f"the request {error}") from None


def patched(read: TopLevel, changes: Mapping[str, Any]) -> bytes:
    """The body with members of its top level changed and every other byte left as it was.

    Raises:
        InvalidRequestError: a value cannot be written as JSON.
    """
    try:
        return read.patched(changes)
    except JSONError as error:
        raise InvalidRequestError(f"the request {error}") from None


def check_editable(edits: Iterable[str]) -> None:
    """Refuse edits of what is no field of a chat request.

    Raises:
        TypeError: naming them.
    """
    unknown = set(edits) - EDITABLE_FIELDS
    if unknown:
        raise TypeError(f"{', '.join(sorted(unknown))}: not a field of a chat request that may be edited")
