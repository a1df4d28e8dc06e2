"""Everything that a provider can do wrong, by name and by moment: the faults that an adapter or a gateway must survive.

    upstream.fault("rst", Phase.MIDDLE)

A fault is a good answer up to a moment, and then something else. It looks at the request: a stream is spoiled as a
stream, a whole answer as a whole answer.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Final, Literal

import attrs

from .upstream_chat import chat_answer, chat_events, error_value, event_bytes
from .upstream_connection import ReceivedRequest, UpstreamConnection

__all__ = ["CHAT", "FAULTS", "OVERLOADED", "STATUSES", "TEXT", "Fault", "Phase", "Speech", "SpoiltAnswer"]

TEXT: Final = "Grüße aus dem 東京 tower 🗼 and good night"
"""What the model would have said."""

OVERLOADED: Final = "the model is overloaded"
"""What the errors inside a good answer say."""

STATUSES: Final = (302, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
"""Statuses that there is a fault for, called ``status-400`` and so on."""

_SLOW: Final = 1.0  # seconds between two bytes
_MOMENT: Final = 0.02  # seconds, so that what came before arrives on its own: a reset would even overtake it
_TRICKLE: Final = 0.05  # seconds between two signs of a life without end
_BOMB: Final = 4 * 1024 * 1024
_PAGE: Final = b"<!doctype html>\n<title>Bad gateway</title>\n\n<h1>502 Bad gateway</h1>\n"
_USAGE: Final = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}

Framing = Literal["chunked", "length", "close", "gzip"]


class Phase(Enum):
    """When an answer goes wrong; the value is how people say it."""

    HEAD = "before the headers"
    CONTENT = "before the first content"
    MIDDLE = "in the middle"
    LAST = "before the last event"


@attrs.frozen
class Speech:
    """What a provider says in its wire format, so that it can be spoilt.

    Args:
        whole: A whole answer.
        frames: A stream, as it goes over the wire.
        opening: How many of the frames come before the first content.
        ending: How many of them tell that it is whole.
        error: The body of an error: ``error(status, message)``.
        error_frame: An error inside a stream.
        media_type: What the stream is.
        idle_frame: A sign of life inside a stream that means nothing; ``b""`` where the format has none.
        torn_frame: A frame that cannot be read.
        headers: More headers of every answer.
        usual: Whether requests that say nothing of it are for a stream.
    """

    whole: bytes
    frames: Sequence[bytes]
    opening: int
    ending: int
    error: Callable[[int, str], bytes]
    error_frame: bytes
    media_type: str = "text/event-stream"
    idle_frame: bytes = b": still here\n\n"
    torn_frame: bytes = b'data: {"choices": [{"delta": {"conte\n\n'
    headers: Mapping[str, str] = attrs.field(factory=dict)
    usual: bool = False


@attrs.frozen
class Fault:
    """Something that a provider does wrong.

    Args:
        name: Its name, kebab-case.
        what: What the provider does; the subject is missing.
        play: Does it.
        whole: The moments at which it can befall a whole answer.
        stream: The moments at which it can befall a stream.
    """

    name: str
    what: str
    play: Callable[[SpoiltAnswer], Awaitable[None]]
    whole: Collection[Phase]
    stream: Collection[Phase]

    def behaviour(
        self, phase: Phase, speech: Speech | None = None
    ) -> Callable[[ReceivedRequest, UpstreamConnection], Awaitable[None]]:
        """The fault at a moment, as a behaviour of the fake upstream.

        Args:
            phase: The moment.
            speech: What is spoilt; None for an answer of OpenAI's chat completions.
        """

        async def behave(request: ReceivedRequest, connection: UpstreamConnection) -> None:
            await self.play(SpoiltAnswer(request, connection, phase, speech or CHAT))

        return behave


class SpoiltAnswer:
    """A good answer that is given up to a moment.

    Args:
        request: What was asked.
        connection: Where to answer.
        phase: The moment.
        speech: The answer.
    """

    def __init__(self, request: ReceivedRequest, connection: UpstreamConnection, phase: Phase, speech: Speech) -> None:
        self.connection = connection
        self.phase = phase
        self.speech = speech
        # A probe of a deployment that is left out sends no body, and some formats tell by the path.
        asked = request.json() if request.body else {}
        self.streamed = bool(asked.get("stream", speech.usual and bool(asked))) or "stream" in request.path.lower()
        pieces = speech.frames if self.streamed else _parts(speech.whole)
        content, ending = (speech.opening, speech.ending) if self.streamed else (0, 1)
        last = len(pieces) - ending
        kept = {Phase.HEAD: 0, Phase.CONTENT: content, Phase.MIDDLE: (content + last + 1) // 2, Phase.LAST: last}
        self.before = b"".join(pieces[: kept[phase]])
        """What of the body came before it went wrong."""
        self.rest = b"".join(pieces[kept[phase] :])
        """What of the body was still to come."""
        self._framing: Framing = "chunked"
        self.packer = zlib.compressobj(wbits=31)
        """What compresses the body, where it is compressed."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that say what kind of body it is."""
        kind = self.speech.media_type if self.streamed else "application/json"
        return {"content-type": kind, **self.speech.headers}

    async def begin(self, framing: Framing | None = None, *, length: int | None = None) -> None:
        """Send what comes before the moment: nothing at all before the headers.

        Args:
            framing: How the end of the body is told; None for the usual way.
            length: The content length to claim; None for the true one.
        """
        if self.phase is Phase.HEAD:
            return
        self._framing = framing or ("chunked" if self.streamed else "length")
        head = dict(self.headers)
        if self._framing == "length":
            head["content-length"] = str(len(self.before + self.rest) if length is None else length)
        elif self._framing == "close":
            head["connection"] = "close"
        else:
            head["transfer-encoding"] = "chunked"
        if self._framing == "gzip":
            head["content-encoding"] = "gzip"
        await self.connection.write_head(200, head)
        await self.send(self.before)
        await asyncio.sleep(_MOMENT)

    async def send(self, data: bytes) -> None:
        """Send some of the body, framed as the head has said."""
        if self._framing == "gzip":
            await self.send_packed(self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH))
        elif not data:
            return
        elif self._framing == "chunked":
            await self.connection.write_chunk(data)
        else:
            await self.connection.write(data)

    async def send_packed(self, data: bytes) -> None:
        """Send bytes of a compressed body as they are."""
        await self.connection.write_chunk(data)

    async def end(self) -> None:
        """End a chunked body as HTTP wants it."""
        await self.connection.write(b"0\r\n\r\n")

    async def whole(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send a body in one piece."""
        head = {**self.headers, "content-length": str(len(body)), **(headers or {})}
        await self.connection.write_head(status, head)
        await self.connection.write(body)


def _parts(body: bytes) -> Sequence[bytes]:
    half = len(body) // 2
    return [body[:half], body[half:-1], body[-1:]]


async def _hang(answer: SpoiltAnswer) -> None:
    await answer.begin()
    await answer.connection.hang()


async def _slow(answer: SpoiltAnswer) -> None:
    await answer.begin()
    if answer.phase is Phase.HEAD:
        await answer.connection.write(b"HTTP/1.1 200 OK\r\nx-padding: aaaaaaaa", split=1, delay=_SLOW)
        return
    for byte in answer.rest:
        await asyncio.sleep(_SLOW)
        await answer.send(bytes([byte]))


async def _endless(answer: SpoiltAnswer) -> None:
    await answer.begin("chunked")
    if answer.phase is Phase.HEAD:
        await answer.connection.write(b"HTTP/1.1 200 OK\r\nx-padding: ")
    while True:
        if answer.phase is Phase.HEAD:
            await answer.connection.write(b"a")
        else:
            await answer.send(answer.speech.idle_frame if answer.streamed else b" ")
        await asyncio.sleep(_TRICKLE)


async def _fin(answer: SpoiltAnswer) -> None:
    await answer.begin()
    answer.connection.close()


async def _rst(answer: SpoiltAnswer) -> None:
    await answer.begin()
    answer.connection.reset()


async def _early_end(answer: SpoiltAnswer) -> None:
    await answer.begin("chunked")
    await answer.end()


async def _unmarked_end(answer: SpoiltAnswer) -> None:
    await answer.begin("close")
    answer.connection.close()


async def _short_length(answer: SpoiltAnswer) -> None:
    await answer.begin("length", length=len(answer.before))
    await answer.connection.write(answer.rest)


async def _long_length(answer: SpoiltAnswer) -> None:
    await answer.begin("length", length=len(answer.before + answer.rest) + 10)
    await answer.send(answer.rest)
    await asyncio.sleep(_MOMENT)
    answer.connection.close()


async def _bad_chunk(answer: SpoiltAnswer) -> None:
    await answer.begin("chunked")
    await answer.connection.write(b"seven\r\n")
    await answer.connection.hang()


async def _not_http(answer: SpoiltAnswer) -> None:
    await answer.connection.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    await answer.connection.hang()


async def _huge_head(answer: SpoiltAnswer) -> None:
    await answer.connection.write(b"HTTP/1.1 200 OK\r\nx-padding: " + b"a" * 1_000_000)
    await answer.connection.hang()


async def _interim(answer: SpoiltAnswer) -> None:
    while True:
        await answer.connection.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(_TRICKLE)


async def _broken_gzip(answer: SpoiltAnswer) -> None:
    await answer.begin("gzip")
    await answer.send_packed(b"\xff" * 64)
    await answer.end()


async def _cut_gzip(answer: SpoiltAnswer) -> None:
    await answer.begin("gzip")
    await answer.end()


async def _gzip_bomb(answer: SpoiltAnswer) -> None:
    await answer.begin("gzip")
    block = b" " * 65_536
    packed = b"".join(answer.packer.compress(block) for _ in range(_BOMB // len(block)))
    await answer.send_packed(packed + answer.packer.flush())
    await answer.end()


async def _unreadable(answer: SpoiltAnswer) -> None:
    await answer.whole(b"\x8b\x02\x80abc\x03", headers={"content-encoding": "br"})


async def _garbage(answer: SpoiltAnswer) -> None:
    await answer.begin("chunked")
    await answer.send(answer.speech.torn_frame if answer.streamed else b']"}{')
    await answer.send(answer.rest)
    await answer.end()


async def _error_event(answer: SpoiltAnswer) -> None:
    if not answer.streamed:
        await answer.whole(answer.speech.error(503, OVERLOADED))
        return
    await answer.begin()
    await answer.send(answer.speech.error_frame)
    await answer.end()


async def _named_error_event(answer: SpoiltAnswer) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    await answer.begin()
    await answer.send(b"event: error\n" + event_bytes(error))
    await answer.end()


async def _html(answer: SpoiltAnswer) -> None:
    if answer.phase is Phase.CONTENT:
        await answer.whole(_PAGE, headers={"content-type": "text/html; charset=utf-8"})
        return
    await answer.begin("chunked")
    await answer.send(_PAGE)
    await answer.end()


async def _empty(answer: SpoiltAnswer) -> None:
    await answer.whole(b"")


async def _mislabelled(answer: SpoiltAnswer) -> None:
    await answer.whole(answer.before + answer.rest, headers={"content-type": "text/plain"})


async def _other_kind(answer: SpoiltAnswer) -> None:
    speech = answer.speech
    if answer.streamed:
        await answer.whole(speech.whole, headers={"content-type": "application/json"})
    else:
        await answer.whole(b"".join(speech.frames), headers={"content-type": speech.media_type})


async def _html_error(answer: SpoiltAnswer) -> None:
    await answer.whole(_PAGE, 502, {"content-type": "text/html; charset=utf-8"})


def _status(status: int) -> Callable[[SpoiltAnswer], Awaitable[None]]:
    async def play(answer: SpoiltAnswer) -> None:
        if status == 302:
            await answer.whole(b"", status, {"location": "http://127.0.0.1:9/v1/chat/completions"})
            return
        body = answer.speech.error(status, f"the vendor's words for {status}")
        await answer.whole(body, status, {"content-type": "application/json"})

    return play


def _chat_error(status: int, message: str) -> bytes:
    if message == OVERLOADED:
        return jsonlib.dumps(error_value(message, kind="server_error", code="overloaded")).encode()
    return jsonlib.dumps(error_value(message, code=f"vendor_{status}")).encode()


CHAT: Final = Speech(
    whole=jsonlib.dumps(chat_answer(TEXT, usage=_USAGE)).encode(),
    frames=[*map(event_bytes, chat_events(TEXT, usage=_USAGE)), b"data: [DONE]\n\n"],
    opening=1,
    ending=1,
    error=_chat_error,
    error_frame=b"data: " + _chat_error(503, OVERLOADED) + b"\n\ndata: [DONE]\n\n",
)
"""``TEXT`` as an answer of OpenAI's chat completions."""

_HEAD: Final = (Phase.HEAD,)
_CONTENT: Final = (Phase.CONTENT,)
_BODY: Final = (Phase.CONTENT, Phase.MIDDLE, Phase.LAST)
_ALL: Final = tuple(Phase)

FAULTS: Final[Mapping[str, Fault]] = {
    fault.name: fault
    for fault in (
        Fault("hang", "falls silent", _hang, _ALL, _ALL),
        Fault("slow", "sends one byte a second", _slow, _ALL, _ALL),
        Fault("endless", "sends signs of life for ever, and nothing else", _endless, _ALL, _ALL),
        Fault("fin", "closes the connection", _fin, _ALL, _ALL),
        Fault("rst", "breaks the connection", _rst, _ALL, _ALL),
        Fault("early-end", "ends the body too early, as HTTP wants it", _early_end, _BODY, _BODY),
        Fault("unmarked-end", "closes a connection whose closing is the end of the body", _unmarked_end, _BODY, _BODY),
        Fault("short-length", "announces fewer bytes than it sends", _short_length, _BODY, _BODY),
        Fault("long-length", "announces more bytes than it sends", _long_length, (Phase.LAST,), (Phase.LAST,)),
        Fault("bad-chunk", "breaks the framing of the body", _bad_chunk, _BODY, _BODY),
        Fault("not-http", "answers with another protocol", _not_http, _HEAD, _HEAD),
        Fault("huge-head", "sends a header of a megabyte", _huge_head, _HEAD, _HEAD),
        Fault("interim", "sends interim answers (103) for ever", _interim, _HEAD, _HEAD),
        Fault("broken-gzip", "damages the compressed body", _broken_gzip, _BODY, _BODY),
        Fault("cut-gzip", "ends the compressed body too early, as HTTP wants it", _cut_gzip, _BODY, _BODY),
        Fault("gzip-bomb", "sends a body that inflates a thousandfold", _gzip_bomb, _BODY, _BODY),
        Fault("unreadable", "compresses with an encoding that was not asked for", _unreadable, _CONTENT, _CONTENT),
        Fault("garbage", "sends JSON that is none", _garbage, _BODY, _BODY),
        Fault("error-event", "sends an error with status 200", _error_event, _CONTENT, _BODY),
        Fault("named-error-event", "sends an `event: error`", _named_error_event, (), _BODY),
        Fault("html", "sends a page of HTML with status 200", _html, _CONTENT, _BODY),
        Fault("empty", "sends an empty body with status 200", _empty, _CONTENT, _CONTENT),
        Fault("mislabelled", "sends the right body as `text/plain`", _mislabelled, _CONTENT, _CONTENT),
        Fault("other-kind", "sends a whole answer for a stream, or the reverse", _other_kind, _CONTENT, _CONTENT),
        Fault("html-error", "answers 502 with a page of HTML", _html_error, _HEAD, _HEAD),
        *(Fault(f"status-{code}", f"answers {code}", _status(code), _HEAD, _HEAD) for code in STATUSES),
    )
}
"""Every fault that can befall an answer. Connections that are refused or broken at once are the server's own:
``FakeUpstream.refuse`` and ``FakeUpstream.reject``."""
