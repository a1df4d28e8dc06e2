"""Reads streams of this format: a relay that looks as little as it can, and a decoder.

Source: OpenAI API reference, "Streaming events". A stream is complete with ``response.completed`` or
``response.incomplete`` and with nothing else; ``response.failed`` is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data, event_name
from llmgate.formats.openai_chat.usage import service_tier
from llmgate.formats.reading import FrameReader
from llmgate.spec import ChoiceDelta, ErrorDetail, GatewayChunk

from .errors import event_error, failure_in
from .events import ItemReader
from .responses import finish_of, is_answer
from .usage import usage_of

__all__ = ["ResponseStreamReader"]

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_STATES: Final = frozenset({"response.created", "response.queued", "response.in_progress", *_ENDS, "response.failed"})
_PLAIN: Final = tuple(
    f"event: response.{kind}.delta\ndata: {{".encode()
    for kind in (
        "output_text",
        "function_call_arguments",
        "reasoning_summary_text",
        "reasoning_text",
        "custom_tool_call_input",
        "refusal",
    )
)
_SEQUENCE: Final = re.compile(rb'"sequence_number": ?([0-9]{1,15})[,}]')


class ResponseStreamReader(FrameReader):
    """Reads one stream of response events. Usage is part of every stream, so that nothing is withheld."""

    def __init__(self) -> None:
        super().__init__(EventSplitter(), "response events")
        self._items = ItemReader(self.outcome.unread)
        self._closing: GatewayChunk | None = None
        self._last = b""

    @property
    def sequence(self) -> int:
        """The number that the next event of this stream would have, as far as it has been relayed."""
        found = _SEQUENCE.findall(self._last)
        return int(found[-1]) + 1 if found else int(bool(self._last))

    def relay(self, data: bytes) -> bytes:
        """The bytes of every whole event, less the terminal marker and errors."""
        kept = super().relay(data)
        if b'"sequence_number"' in kept or (not self._last and b"data:" in kept):  # comments have none
            self._last = kept
        return kept

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole event. The terminal marker says how the answer ended, in a chunk before its own."""
        chunks = super().decode(data)
        if self._closing is None:
            return chunks
        closing, self._closing = self._closing, None
        return [*chunks[:-1], closing, chunks[-1]]

    def _observe(self, raw: bytes) -> bool:
        """Look at an event; whether it goes down to the client."""
        read = self._read(raw)
        if read is not None:
            self._note(*read)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        read = self._read(raw)
        outcome = self.outcome
        if read is None:
            return GatewayChunk(final=outcome.complete, error=outcome.error, raw=raw)
        self._note(*read)
        delta = self._items.read(*read)
        return GatewayChunk(
            choices=() if delta is None else (delta,), id=outcome.response_id, model=outcome.model, raw=raw
        )

    def _read(self, raw: bytes) -> tuple[str, dict[str, Any]] | None:
        """The kind of an event and its JSON; None without any, at the terminal marker and at an error, which are noted.

        The kind stands in the event's name and in its data; copies of the format leave out the one or the other.
        """
        data = event_data(raw)
        if data is None or not data.strip() or data.strip() == b"[DONE]":
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
        if kind in _STATES:
            self._note_state(value.get("response"))
        if kind in _ENDS:
            self._note_end(raw)
            return None
        if kind == "response.failed":
            response = value.get("response")
            detail = failure_in(response) if isinstance(response, dict) else None
            self.outcome.error = detail or ErrorDetail("the provider says that the response failed", status=500)
            return None
        if kind == "error" or name == "error" or (not kind.startswith("response.") and value.get("error")):
            self.outcome.error = event_error(value)
            return None
        return kind, value

    def _note_state(self, response: Any) -> None:
        """What the life-cycle events tell, each with the whole response so far."""
        outcome = self.outcome
        if not isinstance(response, dict):
            return
        if isinstance(response.get("id"), str):
            outcome.response_id = response["id"] or outcome.response_id
        if isinstance(response.get("model"), str):
            outcome.model = response["model"] or outcome.model
        outcome.usage = usage_of(response) or outcome.usage
        outcome.service_tier = service_tier(response.get("service_tier")) or outcome.service_tier
        outcome.finish_reason = finish_of(response) if response.get("status") in ("completed", "incomplete") else None

    def _note_end(self, raw: bytes) -> None:
        self._note_terminal(raw)
        outcome = self.outcome
        self._closing = GatewayChunk(
            choices=(ChoiceDelta(finish_reason=outcome.finish_reason),),
            id=outcome.response_id,
            model=outcome.model,
            usage=outcome.usage,
        )

    def _note(self, kind: str, value: Mapping[str, Any]) -> None:
        """Keep what an event tells of the answer: whether it has begun."""
        outcome = self.outcome
        if outcome.content:
            return
        if kind.endswith(".delta"):
            outcome.content = bool(value.get("delta"))
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = value.get("item")
            outcome.content = isinstance(item, dict) and is_answer(item)
        elif kind == "response.output_text.done":
            outcome.content = bool(value.get("text"))

    def _is_plain(self, raw: bytes) -> bool:
        """Whether an event behind the first content is a piece of it, which need not be read: most are."""
        return (
            raw.startswith(_PLAIN)
            and raw.endswith(b"}\n\n")
            and raw.count(b"\n") == 3
            and b"\r" not in raw
            and b'"error"' not in raw
        )

    def _ends(self, raw: bytes) -> bool:
        data = event_data(raw)
        try:
            value = loads(data) if data else None
        except JSONError:
            return False
        if not isinstance(value, dict):
            return False
        if value.get("type", (event_name(raw) or b"").decode("utf-8", "replace")) not in _ENDS:
            return False
        self._note_state(value.get("response"))
        return True
