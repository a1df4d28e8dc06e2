"""Reads streams of this format: a relay that looks as little as it can, and a decoder.

Source: Anthropic documentation, "Streaming messages". A stream is complete with ``message_stop`` and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data, event_name
from llmgate.formats.reading import FrameReader
from llmgate.spec import ChoiceDelta, ErrorDetail, GatewayChunk

from .errors import error_in
from .events import DELTAS, BlockReader, Counts, stop_of
from .responses import is_answer

__all__ = ["MessageStreamReader"]

_PLAIN: Final = b"event: content_block_delta\ndata: {"
_PLAIN_DATA: Final = len(_PLAIN) - 1
_DELTA: Final = "content_block_delta"
_STOP: Final = "message_stop"


class MessageStreamReader(FrameReader):
    """Reads one stream of message events. Usage is part of every stream, so that nothing is withheld."""

    def __init__(self) -> None:
        super().__init__(EventSplitter(), "message events")
        self._counts = Counts()
        self._blocks = BlockReader(self.outcome.unread)

    def _observe(self, raw: bytes) -> bool:
        """Look at an event; whether it goes down to the client."""
        read = self._read(raw)
        if read is not None:
            self._note(*read)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        read = self._read_plain(raw) if self.outcome.content else None
        if read is None:
            read = self._read(raw)
        if read is None:
            return GatewayChunk(final=self.outcome.complete, error=self.outcome.error, raw=raw)
        kind, value = read
        usage = self._note(kind, value)
        delta: ChoiceDelta | None = None
        if kind == "message_start":
            delta = ChoiceDelta(role="assistant")
        elif kind == "message_delta":
            delta = stop_of(value)
        elif kind in DELTAS:
            delta = self._blocks.read(kind, value)
        outcome = self.outcome
        return GatewayChunk(
            choices=() if delta is None else (delta,), id=outcome.response_id, model=outcome.model, usage=usage, raw=raw
        )

    def _read_plain(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """As ``_read``, of an event that is seen to be a delta; None for any other, and for one that is broken."""
        if not _is_plain(raw):
            return None
        try:
            value = loads(raw[_PLAIN_DATA:-2])
        except JSONError:
            return None  # read anew, by what says so
        return (_DELTA, value) if value.get("type") == _DELTA else None

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None without any, at the terminal marker and at an error, which are noted.

        The kind stands in the event's name and in its data; copies of the format leave out the one or the other.
        """
        data = event_data(raw)
        if data is None or not data.strip():
            return None
        name = (event_name(raw) or b"").decode("utf-8", "replace")
        try:
            value = loads(data)
        except JSONError as error:
            if name == "error":
                self.outcome.error = ErrorDetail("the provider sent an error that is not JSON")
                return None
            raise self._broken(f"an event is {error}") from None
        if not isinstance(value, dict):
            raise self._broken("an event is not a JSON object")
        kind = value.get("type")
        kind = kind if isinstance(kind, str) else name
        if kind == "error" or name == "error":
            detail = error_in({**value, "type": "error"}) or ErrorDetail("the provider sent an error")
            shown = data if isinstance(value.get("error"), dict) and value.get("type") == "error" else None
            self.outcome.error = attrs.evolve(detail, body=shown)
            return None
        if kind == _STOP:
            self._note_terminal(raw)
            return None
        return kind, value

    def _is_plain(self, raw: bytes) -> bool:
        return _is_plain(raw)

    def _ends(self, raw: bytes) -> bool:
        return _names_stop(raw)

    def _note(self, kind: str, value: Mapping[str, Any]) -> Any:
        """Keep what an event tells; the usage so far where it tells any."""
        outcome = self.outcome
        usage = None
        if kind == "content_block_delta":
            outcome.content = outcome.content or _says_something(value.get("delta"))
        elif kind == "content_block_start":
            block = value.get("content_block")
            outcome.content = outcome.content or (isinstance(block, dict) and is_answer(block))
        elif kind == "message_start":
            message = value.get("message")
            message = message if isinstance(message, dict) else {}
            if isinstance(message.get("id"), str):
                outcome.response_id = message["id"] or None
            if isinstance(message.get("model"), str):
                outcome.model = message["model"] or None
            usage = self._counts.add(message.get("usage"))
        elif kind == "message_delta":
            usage = self._counts.add(value.get("usage"))
            outcome.finish_reason = stop_of(value).finish_reason or outcome.finish_reason
        if usage is not None:
            outcome.usage, outcome.service_tier = usage, self._counts.service_tier
        return usage


def _says_something(delta: Any) -> bool:
    """Whether a delta carries text, thought or arguments; a signature alone is none of these."""
    return isinstance(delta, dict) and any(delta.get(name) for name in ("text", "thinking", "partial_json"))


def _is_plain(raw: bytes) -> bool:
    """Whether an event behind the first content is a delta of a block, which need not be read: most are.

    Its shape is looked at: one line with the name, one with the data, and nothing that could be an error.
    """
    return (
        raw.startswith(_PLAIN)
        and raw.endswith(b"}\n\n")
        and raw.find(b"\n", len(_PLAIN)) == len(raw) - 2
        and b"\r" not in raw
        and b'"error"' not in raw
    )


def _names_stop(raw: bytes) -> bool:
    data = event_data(raw)
    try:
        value = loads(data) if data else None
    except JSONError:
        return False
    return isinstance(value, dict) and value.get("type", (event_name(raw) or b"").decode("utf-8", "replace")) == _STOP
