"""Reads streams of this format: a relay that looks as little as it can, and a decoder.

Source: Cohere documentation, "Streaming" (v2). A stream is complete with ``message-end`` and with nothing else; one
whose reason is a failure is an error. Some servers send ``[DONE]`` behind it, which tells nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data, event_name
from llmgate.formats.reading import FrameReader
from llmgate.spec import ChoiceDelta, ErrorDetail, FinishReason, GatewayChunk, ProviderProtocolError

from .errors import encode_message, error_in, failure_in
from .events import EventReader
from .responses import decode_finish, is_answer
from .usage import decode_usage

__all__ = ["EventStreamReader"]

_END: Final = "message-end"
_DONE: Final = b"[DONE]"
_PLAIN: Final = b"event: content-delta\ndata: {"
_CLOSES: Final = b"}\n\n"
_NOT_PLAIN: Final = (b"\r", b'"error"', b'"message-end"', b'"finish_reason"')


class EventStreamReader(FrameReader):
    """Reads one stream of events. Usage is part of every stream, so that nothing is withheld.

    The last event is an end with a reason and counts. Decoded, it is two chunks: what it says, and the terminal marker.
    """

    def __init__(self) -> None:
        super().__init__(EventSplitter(), "events of chat answers")
        self._events = EventReader()
        self._last: GatewayChunk | None = None

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole event; two for the last one."""
        chunks = list(super().decode(data))
        last, self._last = self._last, None
        if last is not None:
            chunks.insert(len(chunks) - 1 if chunks and chunks[-1].final else len(chunks), last)
        return chunks

    def _observe(self, raw: bytes) -> bool:
        read = self._read(raw)
        if read is not None:
            self._note(*read, raw)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        read = self._read(raw)
        if read is None:
            return GatewayChunk(error=self.outcome.error, raw=raw)
        kind, value = read
        self._note(kind, value, raw)
        outcome = self.outcome
        if outcome.error is not None:
            return GatewayChunk(error=outcome.error, raw=raw)
        if outcome.complete:
            return GatewayChunk(final=True, raw=raw)
        delta = self._events.read(kind, value)
        return GatewayChunk(choices=() if delta is None else (delta,), id=outcome.response_id, raw=raw)

    def _ends(self, raw: bytes) -> bool:
        """The last event, whose blank line was lacking: it says all that a last event says."""
        try:
            read = self._read(raw)
        except ProviderProtocolError:
            return False
        if read is None or read[0] != _END:
            return False
        self._note(*read, raw)
        return self.outcome.complete

    def _is_plain(self, raw: bytes) -> bool:
        """Whether an event behind the first content is a piece of content, which need not be read: most are."""
        return (
            raw.startswith(_PLAIN)
            and raw.endswith(_CLOSES)
            and raw.find(b"\n", len(_PLAIN)) == len(raw) - 2
            and not any(name in raw for name in _NOT_PLAIN)
        )

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None without any, and for an error, which is noted.

        The kind stands in the event's name and in its data; copies of the format leave out the one or the other.
        """
        data = event_data(raw)
        if data is None or not data.strip() or data.strip() == _DONE:
            return None
        name = (event_name(raw) or b"").decode("utf-8", "replace")
        try:
            value = loads(data)
        except JSONError as error:
            if name == "error":
                self._fail("the provider sent an error that is not JSON")
                return None
            raise self._broken(f"an event is {error}") from None
        if not isinstance(value, dict):
            raise self._broken("an event is not a JSON object")
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else name
        detail = error_in(value)
        if detail is not None or "error" in (kind, name):
            if detail is None:
                self._fail("the provider sent an error")
            else:
                self.outcome.error = detail
            return None
        return kind, value

    def _fail(self, message: str) -> None:
        self.outcome.error = ErrorDetail(message, body=encode_message(message))

    def _note(self, kind: str, value: Mapping[str, Any], raw: bytes) -> None:
        """Keep what an event tells."""
        outcome = self.outcome
        if isinstance(value.get("id"), str) and outcome.response_id is None:
            outcome.response_id = value["id"] or None
        delta = value.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if kind != _END:
            outcome.content = outcome.content or is_answer(delta.get("message"))
            return
        outcome.usage = decode_usage(delta.get("usage")) or outcome.usage
        outcome.finish_reason = decode_finish(delta.get("finish_reason")) or FinishReason.STOP
        outcome.error = failure_in(delta)
        if outcome.error is None:
            self._note_terminal(raw)
            end = ChoiceDelta(finish_reason=outcome.finish_reason)
            self._last = GatewayChunk(choices=(end,), id=outcome.response_id, usage=outcome.usage)
