"""Server-Sent Events on bytes: the hot path of every stream.

Events are cut out of the byte stream whole and handed on as they came, so that a relay changes nothing and no character
is decoded before all of its bytes are there. The rules are those of the WHATWG HTML standard, section 9.2.6
"Interpreting an event stream": lines end with LF, CR or CRLF (and nothing else: U+2028 is text), a blank line ends an
event, a leading byte order mark is ignored, and an event that no blank line ends is no event.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_EVENT_BYTES", "EventSplitter", "encode_event", "event_data", "event_name"]

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""Default bound of one event: generous, since pictures travel as base64 inside events."""

_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 10
_CR: Final = 13
# A line end and the blank line after it. The look-ahead keeps CRLF from being read as two line ends.
_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class EventSplitter:
    r"""Cuts a byte stream into events, whatever the pieces in which it comes.

    What comes out, put together again, is what went in, save the byte order mark. A blank line that no field line
    precedes comes out alone: it is no event to a reader (``event_data`` is None) but belongs to the stream. When a
    piece ends within the CRLF that ends an event, the event comes out at once and the LF follows as a lone blank line.

    Args:
        max_event_bytes: Upper bound of one event in bytes, line ends included.
    """

    __slots__ = ("_bom", "_held", "_max_event_bytes", "_owed_lf")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._held = bytearray()  # the event that has begun and not ended
        self._bom: bytes | None = b""  # what has come of a byte order mark; None once that is settled
        self._owed_lf = False  # the last event ended with a CR at the end of a piece: an LF now belongs to it

    @property
    def pending(self) -> bool:
        """Whether an unfinished event is held: at the end of a stream, it was cut."""
        return bool(self._held or self._bom)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the stream.

        Args:
            data: Any number of bytes.

        Returns:
            The events that are whole now, each with the blank line that ends it.

        Raises:
            ValueError: an event is longer than ``max_event_bytes``; the splitter cannot be used any further.
        """
        if (
            data.endswith(b"\n\n")
            and data.find(b"\n\n") == len(data) - 2
            and not (self._held or self._owed_lf)
            and self._bom is None
            and data[0] != _LF
            and b"\r" not in data
            and len(data) <= self._max_event_bytes
        ):
            return [data]  # one whole event in one piece, as a provider sends them
        if self._bom is not None:
            data = self._without_bom(data)
        if not data:
            return []
        events: list[bytes] = []
        start = 0
        if self._owed_lf:
            self._owed_lf = False
            if data[0] == _LF:
                events.append(b"\n")
                start = 1
        if b"\r" in data or b"\r" in self._held[-2:]:
            self._split_any(data, start, events)
        else:
            self._split_lf(data, start, events)
        return events

    def _split_lf(self, data: bytes, start: int, events: list[bytes]) -> None:
        """Split a piece without any CR: nearly every stream there is."""
        held = self._held
        if held:
            if held[-1] == _LF and data[start] == _LF:
                end = start + 1
            else:
                end = data.find(b"\n\n", start) + 2
                if end == 1:
                    self._hold(data[start:])
                    return
            events.append(self._completed(data[start:end]))
            start = end
        rest = data[start:] if start else data
        if rest.startswith(b"\n") or b"\n\n\n" in rest:
            self._split_any(rest, 0, events)  # there are blank lines that no field line precedes
            return
        *whole, begun = rest.split(b"\n\n")
        if whole and max(map(len, whole)) + 2 > self._max_event_bytes:
            self._refuse()
        events += [event + b"\n\n" for event in whole]
        if begun:
            self._hold(begun)

    def _split_any(self, data: bytes, start: int, events: list[bytes]) -> None:
        """Split a piece with any mixture of line ends."""
        size = len(data)
        if self._held and start < size:
            # The line end before a blank line may be held already: look at it and the new bytes together.
            seam = bytes(self._held[-2:])
            found = _BLANK_LINE.search(seam + data[start:])
            if found is None:
                self._hold(data[start:])
                return
            end = start + found.end() - len(seam)
            events.append(self._completed(data[start:end]))
            start = end
        while start < size:
            found = _LINE_END.match(data, start) or _BLANK_LINE.search(data, start)
            if found is None:
                self._hold(data[start:])
                return
            end = found.end()
            if end - start > self._max_event_bytes:
                self._refuse()
            events.append(data[start:end])
            start = end
        self._owed_lf = bool(events) and data[-1] == _CR

    def _completed(self, rest: bytes) -> bytes:
        """The held event, with the bytes that end it."""
        self._hold(rest)
        event = bytes(self._held)
        self._held.clear()
        return event

    def _hold(self, data: bytes) -> None:
        """Keep the beginning of an event; each byte is copied once, so that a slow drip stays linear."""
        if len(self._held) + len(data) > self._max_event_bytes:
            self._refuse()
        self._held += data

    def _refuse(self) -> None:
        self._held.clear()
        raise ValueError(f"an event of the stream is longer than {self._max_event_bytes} bytes")

    def _without_bom(self, data: bytes) -> bytes:
        """The stream's beginning without its byte order mark, ``b""`` while it cannot be told."""
        begun = (self._bom or b"") + data
        if len(begun) < len(_BOM) and _BOM.startswith(begun):
            self._bom = begun
            return b""
        self._bom = None
        return begun.removeprefix(_BOM)


def event_data(raw: bytes) -> bytes | None:
    r"""The data of an event: its ``data`` lines, joined by LF.

    Args:
        raw: One event, as ``EventSplitter`` gives it.

    Returns:
        The data; None when the event has no ``data`` line (a comment, a keep-alive).
    """
    if raw.startswith(b"data: ") and _is_one_line(raw):
        return raw[6:-2]
    name_end = _named(raw)
    if name_end:
        return raw[name_end + 7 : -2]
    values = _values(raw, b"data")
    return b"\n".join(values) if values else None


def event_name(raw: bytes) -> bytes | None:
    """The name of an event: the value of its last ``event`` line, None when it has none or an empty one.

    Args:
        raw: One event, as ``EventSplitter`` gives it.
    """
    if raw.startswith(b"data:") and _is_one_line(raw):
        return None
    name_end = _named(raw)
    if name_end:
        return raw[7:name_end] or None
    values = _values(raw, b"event")
    return values[-1] or None if values else None


def _is_one_line(raw: bytes) -> bool:
    """Whether an event is one line and LF-terminated, as nearly every event is: then it need not be taken apart."""
    return raw.find(b"\n") == len(raw) - 2 and raw.endswith(b"\n\n") and b"\r" not in raw


def _named(raw: bytes) -> int:
    """Where the name of an event ends that is one ``event`` line and one ``data`` line, as named ones are; else 0."""
    if not raw.startswith(b"event: ") or b"\r" in raw:
        return 0
    end = raw.find(b"\n")
    whole = raw.endswith(b"\n\n") and raw.startswith(b"data: ", end + 1) and raw.find(b"\n", end + 1) == len(raw) - 2
    return end if whole else 0


def _values(raw: bytes, field: bytes) -> list[bytes]:
    """The values of every line of one field. ``bytes.splitlines`` knows LF, CR and CRLF only, as the standard does."""
    prefix = field + b":"
    values = []
    for line in raw.splitlines():
        if line.startswith(prefix):
            values.append(line[len(prefix) :].removeprefix(b" "))
        elif line == field:
            values.append(b"")
    return values


def encode_event(data: bytes, event: bytes | None = None) -> bytes:
    r"""Write an event.

    Args:
        data: Its data; a line end in it starts another ``data`` line.
        event: Its name, None for none.

    Returns:
        The event with the blank line that ends it.

    Raises:
        ValueError: the name holds a line end.
    """
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    if event is None:
        return b"data: " + data + b"\n\n"
    if b"\n" in event or b"\r" in event:
        raise ValueError("the name of an event cannot hold a line end")
    return b"event: " + event + b"\ndata: " + data + b"\n\n"
