"""Newline-delimited JSON on bytes: streams whose every line is one value.

Lines are cut out of the byte stream whole and handed on as they came, so that a relay changes nothing and no character
is decoded before all of its bytes are there. A line ends with LF and with nothing else, as the NDJSON specification has
it: a CR before it is white space to JSON, and U+2028 is text.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_LINE_BYTES", "LineSplitter", "encode_line"]

MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""Default bound of one line: generous, since pictures travel as base64 inside them."""

_ESCAPES: Final = {
    "\u2028".encode(): rb"\u2028",
    "\u2029".encode(): rb"\u2029",
    "\x85".encode(): rb"\u0085",
}
"""Line ends of Unicode's, which stand within strings only, and their escapes."""


class LineSplitter:
    r"""Cuts a byte stream into lines, whatever the pieces in which it comes.

    What comes out, put together again, is what went in. A blank line comes out like any other: it is no value to a
    reader but belongs to the stream.

    Args:
        max_line_bytes: Upper bound of one line in bytes, line end included.
    """

    __slots__ = ("_held", "_max_line_bytes")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._held = bytearray()  # the line that has begun and not ended

    @property
    def pending(self) -> bool:
        """Whether an unfinished line is held: at the end of a stream, its end is missing or it was cut."""
        return bool(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the stream.

        Args:
            data: Any number of bytes.

        Returns:
            The lines that are whole now, each with the LF that ends it.

        Raises:
            ValueError: a line is longer than ``max_line_bytes``; the splitter cannot be used any further.
        """
        if not data:
            return []
        lines = data.splitlines(keepends=True) if b"\r" not in data else _cut(data)
        begun = b"" if lines[-1].endswith(b"\n") else lines.pop()
        if lines and self._held:
            self._hold(lines[0])
            lines[0] = bytes(self._held)
            self._held.clear()
        if lines and max(map(len, lines)) > self._max_line_bytes:
            self._refuse()
        if begun:
            self._hold(begun)
        return lines

    def _hold(self, data: bytes) -> None:
        """Keep the beginning of a line; each byte is copied once, so that a slow drip stays linear."""
        if len(self._held) + len(data) > self._max_line_bytes:
            self._refuse()
        self._held += data

    def _refuse(self) -> None:
        self._held.clear()
        raise ValueError(f"a line of the stream is longer than {self._max_line_bytes} bytes")


def _cut(data: bytes) -> list[bytes]:
    """The lines of a piece with CRs in it, which ``bytes.splitlines`` takes for line ends of their own."""
    pieces = data.split(b"\n")
    last = pieces.pop()
    lines = [piece + b"\n" for piece in pieces]
    return [*lines, last] if last else lines


def encode_line(value: bytes) -> bytes:
    """Write a line, in which no client finds another line end: some split at every one that Unicode has.

    Args:
        value: The JSON of its value, on one line as ``jsons.dumps`` writes it.
    """
    for sign, escape in _ESCAPES.items():
        if sign in value:
            value = value.replace(sign, escape)
    return value + b"\n"
