"""What the matrix of formats says and hears, and what a wire format must know how to say and hear for it.

A dialect is written from the vendor's documentation and shares no code with ``llmgate.formats``: what both read wrongly
in the same way would not be noticed otherwise. A new format is one file beside this one and one row in ``table.py``.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import unquote, urlsplit

import attrs

Pieces = Literal["plain", "interleaved", "late"]
"""How the arguments of calls are cut: in pieces, in pieces of all calls in turns, or all in one event at the end."""


@attrs.frozen
class Call:
    """A call of a tool."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@attrs.frozen
class Wish:
    """What a client asks, whatever its format.

    Args:
        text: The user's last words, ``""`` where results of tools come last.
        model: The model.
        system: The system's words.
        tools: The tools and the schemas of their arguments.
        calls: The calls of the assistant's turn before.
        results: What came of each, by its id.
        image: A picture beside the text: its media type and base64.
        thinking: Whether the model is to think.
        schema: The shape of the answer.
        forced: Whether some tool must be called.
        stops: Texts that end the answer.
        told: Whether which of them did is to be told, where that must be asked for.
        temperature: How freely is sampled.
        count: How many answers are wanted.
        stream: Whether it is to be streamed.
        usage: Whether a stream is to end with usage, where that must be asked for.
        limit: The bound of the output.
    """

    text: str = "What now?"
    model: str = ""
    system: str | None = None
    tools: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    calls: Sequence[Call] = attrs.field(default=(), converter=tuple)
    results: Mapping[str, str] = attrs.field(factory=dict)
    image: tuple[str, str] | None = None
    thinking: bool = False
    schema: Mapping[str, Any] | None = None
    forced: bool = False
    stops: Sequence[str] = attrs.field(default=(), converter=tuple)
    told: bool = False
    temperature: float | None = None
    count: int | None = None
    stream: bool = False
    usage: bool = True
    limit: int = 9000


@attrs.frozen
class Said:
    """What a model answers, whatever its format.

    Args:
        text: The words.
        reasoning: The visible thoughts.
        calls: The calls.
        finish: stop, stopped (at one of the request's texts), tools, length or filter.
        usage: Tokens in and out, all of them; None where nothing is said of them.
        cached: How many of those in came from a cache.
        error: What an error inside a stream says.
        complete: Whether the format's sign of success has come.
        stop: The text of the request's that ended the answer.
    """

    text: str = ""
    reasoning: str = ""
    calls: Sequence[Call] = attrs.field(default=(), converter=tuple)
    finish: str | None = "stop"
    usage: tuple[int, int] | None = (11, 7)
    cached: int | None = None
    error: str | None = None
    complete: bool = True
    stop: str | None = None


@attrs.frozen
class Fault:
    """An error as a provider sends it."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Dialect(ABC):
    """One wire format as clients and providers use it."""

    name: ClassVar[str]
    provider: ClassVar[str]
    """What the provider is called that speaks it and nothing else."""
    model: ClassVar[str]
    """A model of that provider's that takes tools, pictures and thinking."""
    media_type: ClassVar[str] = "text/event-stream"
    head: ClassVar[Mapping[str, str]] = {}
    """What a provider's answer has beside its body."""
    ending: ClassVar[int] = 1
    """How many events at the end of a stream tell that it is whole."""
    lacks: ClassVar[Collection[str]] = ()
    """Members of ``Wish`` and ``Said`` that it has no word for."""
    tells_stops: ClassVar[Collection[str]] = ()
    """What it tells of an answer that one of the request's texts ended: that it is so, by a word of its own (``word``),
    and which of them it was (``text``)."""
    statuses: ClassVar[Mapping[int, int]] = {}
    """By which other statuses its clients know some errors."""

    # as a client

    @abstractmethod
    def path(self, model: str, *, stream: bool) -> str:
        """Where a client of the gateway posts."""

    @abstractmethod
    def write(self, wish: Wish) -> dict[str, Any]:
        """A client's request."""

    @abstractmethod
    def hear(self, body: bytes) -> Said:
        """A whole answer as a client reads it."""

    @abstractmethod
    def hear_stream(self, body: bytes) -> Said:
        """A streamed answer as a client reads it."""

    @abstractmethod
    def hear_fault(self, headers: Mapping[str, str], body: bytes) -> str:
        """What an error says; asserts that it has the format's shape."""

    # as a provider

    @abstractmethod
    def asked(self, url: str, body: Mapping[str, Any]) -> Wish:
        """What the provider understands."""

    @abstractmethod
    def whole(self, said: Said) -> bytes:
        """A whole answer."""

    @abstractmethod
    def events(self, said: Said, pieces: Pieces = "plain") -> list[bytes]:
        """A streamed answer, the terminal marker or the last event that tells the end in the last place."""

    @abstractmethod
    def fault(self, status: int, message: str) -> Fault:
        """An error before anything else."""

    @abstractmethod
    def event_fault(self, message: str) -> bytes:
        """An error inside a stream."""

    def with_crlf(self, events: bytes) -> bytes:
        """The stream with the other ends of line, where it has lines."""
        return events.replace(b"\n", b"\r\n")


# What several dialects read and write alike.


def words(text: str) -> list[str]:
    """The text in pieces."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def halves(arguments: Mapping[str, Any], pieces: Pieces) -> list[str]:
    """The JSON of a call's arguments in pieces; none for a call without any, as vendors send those."""
    if not arguments:
        return []
    text = json.dumps(arguments, ensure_ascii=False)
    return [text] if pieces == "late" else [text[: len(text) // 2], text[len(text) // 2 :]]


def sse(value: Any, name: str | None = None) -> bytes:
    """An event of server-sent events."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def sse_events(body: bytes) -> list[tuple[str | None, str]]:
    """The names and the data of a stream's events; lines end with LF, as the gateway writes and relays them."""
    events: list[tuple[str | None, str]] = []
    for block in re.split(r"\r\n\r\n|\n\n", body.decode()):
        name, data = None, []
        for line in re.split(r"\r\n|\n", block):
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                data.append(value.removeprefix(" "))
        if data:
            events.append((name, "\n".join(data)))
    return events


def model_in_path(url: str) -> str:
    """The model of an address such as ``…/models/NAME:method`` or ``…/model/NAME/converse``."""
    found = re.search(r"/models?/(.+?)(?::\w+|/[\w-]+)$", urlsplit(url).path)
    assert found, url
    return unquote(found[1])


def parsed(arguments: str) -> dict[str, Any]:
    """Arguments as a strict client reads them: a JSON object, always."""
    value = json.loads(arguments)
    assert isinstance(value, dict), arguments
    return value


def message(kind: str, value: Mapping[str, Any], *, exception: bool = False) -> bytes:
    """A message of AWS's event stream encoding, written from its description."""
    names = {
        ":exception-type" if exception else ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception" if exception else "event",
    }
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text)) + text.encode()
        for name, text in names.items()
    )
    payload = json.dumps(value, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return data + struct.pack(">I", zlib.crc32(data))


def messages(body: bytes) -> Iterator[tuple[Mapping[str, str], Any]]:
    """The headers and the JSON of each message; checksums are checked."""
    while body:
        total, header_bytes = struct.unpack_from(">II", body)
        assert struct.unpack_from(">I", body, total - 4)[0] == zlib.crc32(body[: total - 4])
        headers, place = {}, 12
        while place < 12 + header_bytes:
            size = body[place]
            name = body[place + 1 : place + 1 + size].decode()
            kind, length = struct.unpack_from(">BH", body, place + 1 + size)
            assert kind == 7, f"{name} is no text"
            place += 1 + size + 3 + length
            headers[name] = body[place - length : place].decode()
        yield headers, json.loads(body[12 + header_bytes : total - 4])
        body = body[total:]


def in_turns(calls: Iterable[list[bytes]]) -> list[bytes]:
    """The first events of all calls, then the second, and so on."""
    rows = [list(call) for call in calls]
    return [row[i] for i in range(max(map(len, rows), default=0)) for row in rows if i < len(row)]
