"""Protocol Buffers as they travel, read by a table of the fields that somebody wants, and the little that is written.

Source: https://protobuf.dev/programming-guides/encoding as of 2026-10. What is read becomes the JSON that the same
message is in Protocol Buffers' own mapping, so that whoever reads both reads one.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

__all__ = [
    "Budget",
    "Kind",
    "Message",
    "ProtobufError",
    "Schema",
    "boolean",
    "decode",
    "double",
    "encoded",
    "hexadecimal",
    "octets",
    "signed",
    "text",
    "unsigned",
    "untouched",
]

MAX_DEPTH: Final = 64
"""How deeply messages may be nested."""
_LONGEST_VARINT: Final = 10
_BITS: Final = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Raw: TypeAlias = int | bytes
"""A value as it is on the wire: a number of any width, or bytes."""
Kind: TypeAlias = Callable[[Raw], Any]
"""What makes a value of what is on the wire; raises ``ProtobufError`` for what is not of its kind."""


class ProtobufError(ValueError):
    """Bytes are no message of the kind that is wanted."""


@attrs.frozen
class Message:
    """A field that is a message itself.

    Args:
        schema: Gives the fields of the message; called late, since messages may hold their own kind.
    """

    schema: Callable[[], Schema]


@attrs.frozen
class Schema:
    """The fields of a message that are read; all others are passed over.

    Args:
        fields: By their numbers the name and the kind of each.
        repeated: The names of those that may come more than once, and become lists.
    """

    fields: Mapping[int, tuple[str, Kind | Message]]
    repeated: frozenset[str] = frozenset()


@attrs.define
class Budget:
    """How many fields may still be read, so that a body of tiny ones does not hold everybody up.

    Args:
        left: How many.
    """

    left: int

    def take(self) -> None:
        """Take one.

        Raises:
            ProtobufError: there are none left.
        """
        if self.left <= 0:
            raise ProtobufError("it has too many fields: send fewer at once")
        self.left -= 1


def decode(data: bytes, schema: Schema, budget: Budget, depth: int = 0) -> dict[str, Any]:
    """Read a message.

    Args:
        data: Its bytes.
        schema: What is read of it.
        budget: How many fields may be read.
        depth: How deep it stands in others.

    Raises:
        ProtobufError: it is none.
    """
    if depth > MAX_DEPTH:
        raise ProtobufError("messages are nested too deeply")
    found: dict[str, Any] = {}
    for number, raw in _fields(data, budget):
        name, kind = schema.fields.get(number, ("", None))
        if kind is None:
            continue
        if isinstance(kind, Message):
            value: Any = decode(_bytes(raw), kind.schema(), budget, depth + 1)
        else:
            value = kind(raw)
        if name in schema.repeated:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def _fields(data: bytes, budget: Budget) -> Iterator[tuple[int, Raw]]:
    place, end = 0, len(data)
    while place < end:
        budget.take()
        tag, place = _varint(data, place)
        wire = tag & 7
        value: Raw
        if wire == _VARINT:
            value, place = _varint(data, place)
        elif wire == _BYTES:
            size, place = _varint(data, place)
            value, place = data[place : place + size], place + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, place = int.from_bytes(data[place : place + size], "little"), place + size
        else:
            raise ProtobufError(f"a field is of the wire type {wire}, which is not used")
        if place > end:
            raise ProtobufError("it is cut short")
        if not tag >> 3:
            raise ProtobufError("a field has the number 0")
        yield tag >> 3, value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(data[place : place + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + index + 1
    raise ProtobufError("a number is cut short or too long")


def _bytes(raw: Raw) -> bytes:
    if isinstance(raw, bytes):
        return raw
    raise ProtobufError("a field is a number where bytes belong")


def _number(raw: Raw) -> int:
    if isinstance(raw, int):
        return raw
    raise ProtobufError("a field is bytes where a number belongs")


def untouched(raw: Raw) -> bytes:
    """Bytes that somebody reads later."""
    return _bytes(raw)


def text(raw: Raw) -> str:
    """A text; what is no UTF-8 in it is replaced."""
    return _bytes(raw).decode("utf-8", "replace")


def hexadecimal(raw: Raw) -> str:
    """Bytes as hex digits, as OTLP's JSON writes ids."""
    return _bytes(raw).hex()


def octets(raw: Raw) -> str:
    """Bytes in base64, as JSON has them."""
    return base64.b64encode(_bytes(raw)).decode()


def unsigned(raw: Raw) -> int:
    """A number from 0 on."""
    return _number(raw)


def signed(raw: Raw) -> int:
    """A number of 64 bits with its sign."""
    value = _number(raw)
    return value - (1 << _BITS) if value >> (_BITS - 1) else value


def boolean(raw: Raw) -> bool:
    """True or false."""
    return _number(raw) != 0


def double(raw: Raw) -> float:
    """A number with a fraction, of 64 bits."""
    return float(struct.unpack("<d", _number(raw).to_bytes(8, "little"))[0])


def encoded(number: int, value: int | bytes) -> bytes:
    """One field: a number from 0 on, or bytes.

    Args:
        number: The field's number.
        value: Its value.
    """
    if isinstance(value, int):
        return _written(number << 3 | _VARINT) + _written(value)
    return _written(number << 3 | _BYTES) + _written(len(value)) + value


def _written(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
