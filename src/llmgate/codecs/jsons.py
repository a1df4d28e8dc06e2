"""JSON on the bytes that travel: what policy reads and what is forwarded are one and the same.

Parsers disagree about repeated names, NaN, lone surrogates, huge numbers and depth, and a gateway that checks with one
parser and forwards to another can be talked past. So everything on which two parsers could differ is refused, and a
body is changed by replacing spans of its own text, never by writing it anew. The grammar is RFC 8259, narrowed by
I-JSON (RFC 7493): UTF-8 without BOM, unique names, no lone surrogates.
"""

from __future__ import annotations

import itertools
import json
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

orjson: Any
try:
    import orjson
except ImportError:  # the speed extra is not installed
    orjson = None

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUES",
    "REMOVE",
    "JSONError",
    "TopLevel",
    "canonical",
    "dumps",
    "dumps_plain",
    "loads",
    "top",
]

MAX_DEPTH: Final = 200
"""How deeply arrays and objects may be nested."""

MAX_VALUES: Final = 1_000_000
"""How many values ``top`` takes: the parser holds up every other thread while it makes millions of tiny ones."""

REMOVE: Final = object()
"""In ``TopLevel.patched``: take the member out."""

_USE_ORJSON = orjson is not None
"""The switch between the two parsers; they give the same answers, and a test sets it both ways."""

_ORJSON_OPTIONS: Final = (
    0
    if orjson is None
    else orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
)
_SPACE: Final = " \t\n\r"
_SKIP: Final = re.compile(r"[ \t\n\r]*")
_MEMBER: Final = re.compile(r'[ \t\n\r]*"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_VALUE_FOLLOWS: Final = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F])|.)", re.DOTALL
)
_VALUE: Final = operator.itemgetter(0)
"""The value of a member, of what is known of it."""
_ENDS: Final = frozenset({",", "}"})
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_NOT_LISTING: Final = bytes(set(range(256)) - set(b',"'))
_STEPS: Final = tuple({ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}.get(byte, 0) for byte in range(256))
_SHORT: Final = 4096
_PEELED_LEVELS: Final = range(2, 17, 2)
_DIGITS_ONLY: Final = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG_NUMBER: Final = b"0" * 19


class JSONError(ValueError):
    """The bytes are not JSON as this module takes it; the message says what is wrong and shows none of the content."""


class TopLevel:
    """The members of a JSON object, and where in the text each value stands.

    Args:
        body: The bytes.
        text: The same, decoded.
        members: For each name in written order: its value, where the name starts, where the value starts and ends.
    """

    __slots__ = ("_text", "body", "members")

    def __init__(self, body: bytes, text: str, members: Mapping[str, tuple[Any, int, int, int]]) -> None:
        self.body = body
        self._text = text
        self.members = members

    def has(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self.members

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a member. It is shared: do not change it, use ``patched``."""
        member = self.members.get(name)
        return default if member is None else member[0]

    def values(self) -> dict[str, Any]:
        """Every member, in written order."""
        return dict(zip(self.members, map(_VALUE, self.members.values()), strict=True))

    def patched(self, edits: Mapping[str, Any]) -> bytes:
        """The bytes with members replaced, appended or taken out; everything else stays as it was written.

        Args:
            edits: New values by name; ``REMOVE`` takes a member out. Names that are new are appended.

        Returns:
            The very same object when nothing changes.

        Raises:
            JSONError: a value cannot be written as JSON.
        """
        edits = {name: value for name, value in edits.items() if value is not REMOVE or name in self.members}
        if not edits:
            return self.body
        if any(value is REMOVE for value in edits.values()):
            return self._rewritten(edits)
        text = self._text
        pieces: list[str] = []
        end = 0
        behind = text.index("{") + 1
        for name, (_, _, value_start, value_end) in self.members.items():
            behind = value_end
            if name in edits:
                pieces += (text[end:value_start], _written(edits[name]))
                end = value_end
        pieces.append(text[end:behind])
        comma = "," if self.members else ""
        for name, edit in edits.items():
            if name not in self.members:
                pieces.append(f"{comma}{_written(name)}:{_written(edit)}")
                comma = ","
        pieces.append(text[behind:])
        return "".join(pieces).encode()

    def _rewritten(self, edits: Mapping[str, Any]) -> bytes:
        """As ``patched``, where members are taken out: their commas and the space before them go too."""
        text = self._text
        opening = text.index("{") + 1
        pieces: list[str] = [text[:opening]]
        first_lead, end = "", opening
        kept = 0
        for index, (name, (_, name_start, value_start, value_end)) in enumerate(self.members.items()):
            lead = text[end:name_start]
            end = value_end
            if index == 0:
                first_lead = lead
            edit = edits.get(name, text)  # the text itself stands for "no edit": no value is identical to it
            if edit is REMOVE:
                continue
            pieces.append(lead if kept else first_lead)
            kept += 1
            pieces.append(text[name_start:value_end] if edit is text else text[name_start:value_start] + _written(edit))
        for name, edit in edits.items():
            if name not in self.members:
                pieces.append(f"{',' if kept else ''}{_written(name)}:{_written(edit)}")
                kept += 1
        pieces.append(text[end:])
        return "".join(pieces).encode()


def top(body: bytes) -> TopLevel:
    """Read a JSON object once: its members' values and their spans.

    Raises:
        JSONError: the body is not UTF-8, not a JSON object, repeats a name in any object, holds NaN, Infinity, a
            number beyond the range of a double, a lone surrogate, more than ``MAX_VALUES`` values, or is nested deeper
            than ``MAX_DEPTH``.
    """
    text = _checked_text(body)
    if _crowded(body):
        raise JSONError(f"more than {MAX_VALUES} values")
    position = _SKIP.match(text).end()  # type: ignore[union-attr]
    if not text.startswith("{", position):
        raise JSONError("the body must be a JSON object")
    try:
        members, position = _members(text, position + 1)
    except JSONError:
        raise
    except (ValueError, RecursionError) as error:
        raise _refused(error) from None
    if len(text) != position and text[position:].strip(_SPACE):
        raise JSONError("not valid JSON: something follows the object")
    return TopLevel(body, text, members)


def loads(data: bytes) -> Any:
    """The value of a JSON text. Of a name that is repeated the last value counts: use ``top`` where that matters.

    Raises:
        JSONError: as for ``top``, repeated names excepted.
    """
    if _USE_ORJSON and _shallow(data) and _LONG_NUMBER not in data.translate(_DIGITS_ONLY):
        # orjson makes floats of integers beyond 64 bits; a body that could hold one goes the other way.
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise JSONError(f"not valid JSON: {_reason(error)}") from None
    text = _checked_text(data)
    start = _SKIP.match(text).end()  # type: ignore[union-attr]
    try:
        value, end = _LENIENT.raw_decode(text, start)
    except JSONError:
        raise
    except (ValueError, RecursionError) as error:
        raise _refused(error) from None
    if text[end:].strip(_SPACE):
        raise JSONError("not valid JSON: something follows the value")
    return value


def dumps(value: Any) -> bytes:
    """A value as compact UTF-8 JSON.

    Raises:
        JSONError: it holds something that JSON has not: NaN, a lone surrogate, an object of another kind, a circle.
    """
    if _USE_ORJSON:
        try:
            data: bytes = orjson.dumps(value, option=_ORJSON_OPTIONS)
        except TypeError:
            pass  # the standard library says what is wrong, or takes what orjson does not (integers beyond 64 bits)
        else:
            if _says(data, value):
                return data
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise JSONError(f"cannot be written as JSON: {_reason(error)}") from None


def dumps_plain(value: Any) -> bytes:
    """As ``dumps``, for what must be written whatever it holds: NaN and infinities as null, lone surrogates as ``?``.

    Raises:
        JSONError: it holds an object of another kind, or a circle.
    """
    if _USE_ORJSON:
        try:
            data: bytes = orjson.dumps(value, option=_ORJSON_OPTIONS)
        except TypeError:
            pass
        else:
            return data
    try:
        return dumps(value)
    except JSONError:
        try:
            return dumps(_plain(value))
        except RecursionError:
            raise JSONError(f"cannot be written as JSON: nested deeper than {MAX_DEPTH} levels") from None


def canonical(value: Any) -> bytes:
    """A value as JSON whose names are sorted, so that equal values are equal bytes.

    Raises:
        JSONError: as for ``dumps``.
    """
    if _USE_ORJSON:
        try:
            data: bytes = orjson.dumps(value, option=_ORJSON_OPTIONS | orjson.OPT_SORT_KEYS)
        except TypeError:
            pass
        else:
            if _says(data, value):
                return data
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise JSONError(f"cannot be written as JSON: {_reason(error)}") from None


def _says(data: bytes, value: Any) -> bool:
    """Whether what orjson wrote is the value: it writes NaN and infinities as null, which no value equals but None.

    Where it is not, or where a tuple became a list, the standard library decides.
    """
    return b"null" not in data or orjson.loads(data) == value


def _plain(value: Any) -> Any:
    """The value with what no JSON can say taken out of texts and numbers."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_plain(key): _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _written(value: Any) -> str:
    return dumps(value).decode()


def _members(text: str, position: int) -> tuple[dict[str, tuple[Any, int, int, int]], int]:
    """The members after the opening brace, and the position behind the closing one."""
    members: dict[str, tuple[Any, int, int, int]] = {}
    scan = _STRICT.scan_once  # type: ignore[attr-defined]  # what raw_decode calls, undocumented but stable
    position = _SKIP.match(text, position).end()  # type: ignore[union-attr]
    if text.startswith("}", position):
        return members, position + 1
    while True:
        found = _MEMBER.match(text, position)
        if found is None:
            name, start, begin = _odd_member(text, position)
        else:
            name, start, begin = found[1], found.start(1) - 1, found.end()
        if name in members:
            raise JSONError("a name is repeated in an object")
        try:
            value, end = scan(text, begin)
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", text, stop.value) from None
        members[name] = (value, start, begin, end)
        position = end
        if text[end : end + 1] not in _ENDS:
            position = _SKIP.match(text, end).end()  # type: ignore[union-attr]
        if text.startswith(",", position):
            position += 1
        elif text.startswith("}", position):
            return members, position + 1
        else:
            raise JSONError("not valid JSON: the object is not closed")


def _odd_member(text: str, position: int) -> tuple[str, int, int]:
    """A member whose name holds an escape, so that only the parser can say what it spells, or that is none.

    Returns:
        The name, where it starts, and where its value starts.
    """
    start = _SKIP.match(text, position).end()  # type: ignore[union-attr]
    if not text.startswith('"', start):
        raise JSONError("not valid JSON: a member's name is missing")
    name, colon = _STRICT.raw_decode(text, start)
    follows = _VALUE_FOLLOWS.match(text, colon)
    if follows is None:
        raise JSONError("not valid JSON: a member's value is missing")
    return name, start, follows.end()


def _checked_text(data: bytes) -> str:
    """The text, once everything that the parser itself would let pass has been refused."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise JSONError("not valid UTF-8") from None
    if text.startswith("\ufeff"):
        raise JSONError("starts with a byte order mark: send UTF-8 without one")
    if not _shallow(data):
        raise JSONError(f"nested deeper than {MAX_DEPTH} levels")
    if b"\\" in data and (b"\\ud" in data or b"\\uD" in data):
        for escape in _ESCAPE.finditer(text):
            if escape.lastindex:
                raise JSONError("a string holds a lone surrogate")
    return text


def _shallow(data: bytes) -> bool:
    """Whether nesting stays within bounds; exact for valid JSON, and other input fails in the parser."""
    if len(data) < _SHORT and data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return True
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    structure = data.translate(None, _NOT_STRUCTURE)
    if structure.count(b"[") + structure.count(b"{") <= MAX_DEPTH:
        return True
    outside = structure.replace(b'""', b"")  # neighbouring quotes change nothing of what is inside a string
    if b'"' in outside:
        outside = b"".join(outside.split(b'"')[::2])
    peeled = outside
    for levels in _PEELED_LEVELS:
        # Each replacement takes away one level at most, and what is left is no deeper than it has brackets.
        peeled = peeled.replace(b"{}", b"").replace(b"[]", b"")
        if levels + len(peeled) <= MAX_DEPTH:
            return True
    deepest = max(itertools.accumulate(map(_STEPS.__getitem__, outside)), default=0)
    return deepest <= MAX_DEPTH


def _crowded(data: bytes) -> bool:
    """Whether there are too many values, told by the commas between them; exact for valid JSON."""
    if len(data) < 2 * MAX_VALUES or data.count(b",") < MAX_VALUES:
        return False
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    listing = data.translate(None, _NOT_LISTING).replace(b'""', b"")  # see ``_shallow``
    return b"".join(listing.split(b'"')[::2]).count(b",") >= MAX_VALUES


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JSONError("a name is repeated in an object")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise JSONError("a number is beyond the range of a double")
    return number


def _no_constant(name: str) -> NoReturn:
    raise JSONError(f"{name} is not JSON")


def _refused(error: Exception) -> JSONError:
    if isinstance(error, RecursionError):
        return JSONError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(error, json.JSONDecodeError):
        return JSONError(f"not valid JSON: {_reason(error)}")
    return JSONError("an integer has too many digits")


def _reason(error: Exception) -> str:
    text = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
    return text[:1].lower() + text[1:] + place


def _decoder(pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=pairs_hook)


_STRICT: Final = _decoder(_unique)
_LENIENT: Final = _decoder(None)
