"""Reads streams of this format.

Source: Gemini API reference, "streamGenerateContent" with ``alt=sse``. There is no terminal marker: a stream is
complete when every answer in it has its finish reason, or the prompt was blocked, and the server has then closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.codecs.jsons import JSONError, loads
from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats.fields import ShapeError
from llmgate.formats.reading import FrameReader
from llmgate.spec import FinishReason, GatewayChunk, ProviderProtocolError

from .chunks import ChunkReader
from .errors import error_in
from .finishes import block_reason, decode_finish
from .responses import candidates_in, is_answer, parts_in
from .usage import decode_usage, service_tier

__all__ = ["ContentStreamReader"]


class ContentStreamReader(FrameReader):
    """Reads one stream of responses. Usage is part of every event, so that nothing is withheld."""

    def __init__(self) -> None:
        super().__init__(EventSplitter(), "generateContent responses")
        self._chunks = ChunkReader(self.outcome.unread)
        self._open: dict[int, bool] = {}
        self._calls = False
        self._blocked = False
        self._decoding = False
        self._torn = False

    def _observe(self, raw: bytes) -> bool:
        """Look at an event; whether it goes down to the client."""
        value = self._read(raw)
        if value is not None:
            self._note(value)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        self._decoding = True
        value = self._read(raw)
        if value is None:
            return GatewayChunk(error=self.outcome.error, raw=raw)
        self._note(value)
        try:
            return self._chunks.read(value, raw)
        except ShapeError as error:
            raise self._broken(str(error)) from None

    def _read(self, raw: bytes) -> dict[str, Any] | None:
        """The JSON of an event; None without any, and at an error, which is noted."""
        data = event_data(raw)
        if data is None or not data.strip():
            return None
        try:
            value = loads(data)
        except JSONError as error:
            raise self._broken(f"an event is {error}") from None
        if isinstance(value, list):  # some endpoints wrap errors in an array
            value = next((one for one in value if isinstance(one, dict) and "error" in one), None)
        if not isinstance(value, dict):
            raise self._broken("an event is not a JSON object")
        detail = error_in(value)
        if detail is not None:
            self.outcome.error = attrs.evolve(detail, body=data if isinstance(value.get("error"), dict) else None)
            return None
        return value

    def _ends(self, raw: bytes) -> bool:
        """Whether the last event, whose blank line was lacking, ends the stream; it is handed on as a marker is."""
        self._torn = True  # unless it is found to be whole
        if self._decoding:
            return False
        try:
            self._torn = not self._observe(raw)
        except ProviderProtocolError:
            return False
        return self._closes_well()

    def _closes_well(self) -> bool:
        return not self._torn and (self._blocked or (bool(self._open) and not any(self._open.values())))

    def _note(self, value: Mapping[str, Any]) -> None:
        """Keep what an event tells."""
        outcome = self.outcome
        if outcome.response_id is None and isinstance(value.get("responseId"), str):
            outcome.response_id = value["responseId"] or None
        if outcome.model is None and isinstance(value.get("modelVersion"), str):
            outcome.model = value["modelVersion"] or None
        outcome.usage = decode_usage(value.get("usageMetadata")) or outcome.usage
        outcome.service_tier = service_tier(value.get("usageMetadata")) or outcome.service_tier
        candidates = candidates_in(value)
        for position, candidate in enumerate(candidates):
            self._note_candidate(candidate, position)
        if not candidates and block_reason(value) is not None:
            self._blocked = True
            outcome.finish_reason = FinishReason.CONTENT_FILTER

    def _note_candidate(self, candidate: Mapping[str, Any], position: int) -> None:
        index = candidate.get("index", position)
        index = index if isinstance(index, int) else position
        parts = parts_in(candidate)
        if index == 0:
            self._calls = self._calls or any("functionCall" in part for part in parts)
        self.outcome.content = self.outcome.content or any(map(is_answer, parts))
        reason = decode_finish(candidate.get("finishReason"), calls=self._calls and index == 0)
        if reason is None:
            self._open.setdefault(index, True)
            return
        self._open[index] = False
        if index == 0:
            self.outcome.finish_reason = reason
