"""The event stream encoding of AWS on bytes: ``application/vnd.amazon.eventstream``.

A message is a prelude (its length, the length of its headers, a checksum of both), headers, a payload, and a checksum
of everything before it; all numbers are big-endian, both checksums are CRC32. Messages are cut out of the byte stream
whole and handed on as they came, so that a relay changes nothing.

Source: Amazon Transcribe developer guide, "Event stream encoding"; Smithy specification, "Amazon Event Stream".
"""

from __future__ import annotations

import functools
import struct
import uuid
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_MESSAGE_BYTES",
    "HeaderValue",
    "Message",
    "MessageSplitter",
    "Timestamp",
    "decode_message",
    "encode_headers",
    "encode_message",
    "message_headers",
]

MAX_MESSAGE_BYTES: Final = 24 * 1024 * 1024
"""Default bound of one message: that of AWS's own clients."""

MAX_HEADER_BYTES: Final = 128 * 1024
"""How long the headers of one message may be together: the bound of the encoding."""

_PRELUDE: Final = struct.Struct(">III")
_CHECKSUM: Final = struct.Struct(">I")
_OVERHEAD: Final = _PRELUDE.size + _CHECKSUM.size
_CACHED_HEADER_BYTES: Final = 256
"""Headers up to this size are read once: a stream repeats the same few."""

_LONGEST_NAME: Final = 255
_LONGEST_VALUE: Final = 0x7FFF
_TRUE, _FALSE, _BYTES, _TEXT, _TIMESTAMP, _UUID = 0, 1, 6, 7, 8, 9
_INTEGERS: Final = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_LONG: Final = _INTEGERS[5]
_SHORT_LENGTH: Final = struct.Struct(">H")


class Timestamp(int):
    """A header's moment in milliseconds since the epoch."""


HeaderValue: TypeAlias = bool | int | bytes | str | Timestamp | uuid.UUID
"""What a header may hold; integers of all four widths are one type here."""


@attrs.frozen
class Message:
    """One message.

    Args:
        headers: Its headers; names that begin with a colon are the protocol's.
        payload: Its body.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes = b""


class MessageSplitter:
    """Cuts a byte stream into messages, whatever the pieces in which it comes; both checksums of each are checked.

    What comes out, put together again, is what went in. A message that is broken does not take with it those that came
    before it in the same piece: they come out first, and the error comes with the next call.

    Args:
        max_message_bytes: Upper bound of one message in bytes, prelude and checksum included.
    """

    __slots__ = ("_failure", "_held", "_max_message_bytes", "_needed")

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._held = bytearray()  # the message that has begun and not ended
        self._needed = 0  # how many bytes there must be before looking again is worth while
        self._failure: ValueError | None = None

    @property
    def pending(self) -> bool:
        """Whether an unfinished or broken message is held: at the end of a stream, it was cut."""
        return bool(self._held) or self._failure is not None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the stream.

        Args:
            data: Any number of bytes.

        Returns:
            The messages that are whole now.

        Raises:
            ValueError: a message is longer than ``max_message_bytes``, or its lengths or a checksum are wrong; the
                splitter cannot be used any further.
        """
        if self._failure is not None:
            raise self._failure
        if self._held:
            self._held += data
            if len(self._held) < self._needed:
                return []
            data = bytes(self._held)
            self._held.clear()
        messages: list[bytes] = []
        try:
            rest = self._split(data, messages)
        except ValueError as failure:
            self._failure = failure
            if not messages:
                raise
            return messages
        self._held += rest
        return messages

    def _split(self, data: bytes, messages: list[bytes]) -> bytes:
        """Cut whole messages off; what is left is the beginning of one."""
        start, size = 0, len(data)
        while size - start >= _PRELUDE.size:
            total, header_bytes, checksum = _PRELUDE.unpack_from(data, start)
            if zlib.crc32(data[start : start + 8]) != checksum:
                raise ValueError("the checksum of a message's prelude is wrong")
            if total < _OVERHEAD + header_bytes or header_bytes > MAX_HEADER_BYTES:
                raise ValueError("the lengths of a message contradict each other")
            if total > self._max_message_bytes:
                raise ValueError(f"a message of the stream is longer than {self._max_message_bytes} bytes")
            if size - start < total:
                self._needed = total
                return data[start:]
            message = data[start : start + total] if total < size else data
            if zlib.crc32(memoryview(message)[:-4]) != _CHECKSUM.unpack_from(message, total - 4)[0]:
                raise ValueError("the checksum of a message is wrong")
            messages.append(message)
            start += total
        self._needed = _PRELUDE.size
        return data[start:]


def message_headers(raw: bytes) -> Mapping[str, HeaderValue]:
    """The headers of a message.

    Args:
        raw: One message, as ``MessageSplitter`` gives it.

    Raises:
        ValueError: they are not what the encoding allows.
    """
    header_bytes = int.from_bytes(raw[4:8], "big")
    headers = raw[12 : 12 + header_bytes]
    return _read_cached(headers) if header_bytes <= _CACHED_HEADER_BYTES else _read_headers(headers)


def decode_message(raw: bytes) -> Message:
    """The message in its parts.

    Args:
        raw: One message, as ``MessageSplitter`` gives it: its lengths and checksums hold.

    Raises:
        ValueError: its headers are not what the encoding allows.
    """
    return Message(message_headers(raw), raw[12 + int.from_bytes(raw[4:8], "big") : -4])


def encode_headers(headers: Mapping[str, HeaderValue]) -> bytes:
    """Write the headers of a message, for ``encode_message``; those of one kind of event are always the same.

    Args:
        headers: The headers; an integer is written as narrow as it fits.

    Raises:
        ValueError: a header's name or value is longer than the encoding allows.
    """
    written = b"".join(_write_header(name, value) for name, value in headers.items())
    if len(written) > MAX_HEADER_BYTES:
        raise ValueError(f"the headers of a message are longer than {MAX_HEADER_BYTES} bytes")
    return written


def encode_message(headers: Mapping[str, HeaderValue] | bytes, payload: bytes = b"") -> bytes:
    """Write a message.

    Args:
        headers: Its headers, or what ``encode_headers`` has made of them.
        payload: Its body.

    Raises:
        ValueError: a header's name or value is longer than the encoding allows.
    """
    written = headers if isinstance(headers, bytes) else encode_headers(headers)
    lengths = _PRELUDE.pack(_OVERHEAD + len(written) + len(payload), len(written), 0)[:8]
    message = b"".join((lengths, _CHECKSUM.pack(zlib.crc32(lengths)), written, payload))
    return message + _CHECKSUM.pack(zlib.crc32(message))


def _read_headers(data: bytes) -> Mapping[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    place = 0
    try:
        while place < len(data):
            end = place + 1 + data[place]
            name = data[place + 1 : end].decode()
            if not name or name in headers:
                raise ValueError("a header of a message has no name, or that of another")
            headers[name], place = _read_value(data[end], data, end + 1)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise ValueError("a header of a message is cut, or is not UTF-8") from None
    return MappingProxyType(headers)


@functools.lru_cache(maxsize=64)
def _read_cached(data: bytes) -> Mapping[str, HeaderValue]:
    return _read_headers(data)


def _read_value(kind: int, data: bytes, place: int) -> tuple[HeaderValue, int]:
    """The value at a place, and where the next header begins."""
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, place
    if kind in _INTEGERS:
        return _INTEGERS[kind].unpack_from(data, place)[0], place + _INTEGERS[kind].size
    if kind == _TIMESTAMP:
        return Timestamp(_LONG.unpack_from(data, place)[0]), place + _LONG.size
    if kind == _UUID:
        return uuid.UUID(bytes=_slice(data, place, 16)), place + 16
    if kind not in (_BYTES, _TEXT):
        raise ValueError("a header of a message is of a type that nobody knows")
    size = _SHORT_LENGTH.unpack_from(data, place)[0]
    place += _SHORT_LENGTH.size
    value = _slice(data, place, size)
    return value.decode() if kind == _TEXT else value, place + size


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise IndexError
    return data[start : start + size]


def _write_header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) <= _LONGEST_NAME:
        raise ValueError(f"the name of a header is empty or longer than {_LONGEST_NAME} bytes")
    return bytes((len(encoded),)) + encoded + _write_value(value)


def _write_value(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case Timestamp():
            return bytes((_TIMESTAMP,)) + _LONG.pack(value)
        case int():
            kind = next(
                (
                    kind
                    for kind, form in _INTEGERS.items()
                    if -(1 << 8 * form.size - 1) <= value < 1 << 8 * form.size - 1
                ),
                0,
            )
            if not kind:
                raise ValueError("an integer in a header is wider than 64 bits")
            return bytes((kind,)) + _INTEGERS[kind].pack(value)
        case uuid.UUID():
            return bytes((_UUID,)) + value.bytes
        case str() | bytes():
            data = value.encode() if isinstance(value, str) else value
            if len(data) > _LONGEST_VALUE:
                raise ValueError(f"the value of a header is longer than {_LONGEST_VALUE} bytes")
            return bytes((_TEXT if isinstance(value, str) else _BYTES,)) + _SHORT_LENGTH.pack(len(data)) + data
