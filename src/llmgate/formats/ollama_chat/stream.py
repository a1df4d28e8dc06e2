"""Reads streams of this format: lines of JSON, the last of which says ``"done": true`` and carries the counts.

Source: Ollama, docs/api.md, "Generate a chat completion", and server/routes.go. A stream is complete with that line and
with nothing else; an error is a line of its own and the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.codecs.ndjson import LineSplitter, encode_line
from llmgate.formats.fields import ShapeError
from llmgate.formats.logprobs import choice_logprobs
from llmgate.formats.reading import FAILED, FrameReader
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    ProviderProtocolError,
    Reasoning,
    Text,
    ToolCall,
    ToolCallDelta,
)

from .errors import error_in
from .responses import answer_id, call_ids, decode_done, decode_parts, is_answer, seconds_in
from .usage import decode_usage

__all__ = ["LineReader"]

_OPENS: Final = b"{"
_CLOSES: Final = b"}\n"
_GOES_ON: Final = b'"done":false'
_DONE: Final = b'"done"'
_NOT_PLAIN: Final = (b'"error"', b'"tool_calls"')
_END_FIELDS: Final = ("done", "done_reason", "total_duration", "load_duration", "prompt_eval_count",
                      "prompt_eval_duration", "eval_count", "eval_duration")  # fmt: skip


class LineReader(FrameReader):
    """Reads one stream of lines. Usage is part of every stream, so that nothing is withheld.

    The last line is an end, counts, and sometimes the last of the content. Decoded, it is two chunks: what it says,
    and the terminal marker.
    """

    frame_end = b"\n"

    def __init__(self) -> None:
        super().__init__(LineSplitter(), "lines of chat answers")
        self._id: str | None = None
        self._calls = 0
        self._last: GatewayChunk | None = None

    def decode(self, data: bytes) -> Sequence[GatewayChunk]:
        """A chunk for every whole line; two for the last one."""
        chunks = list(super().decode(data))
        last, self._last = self._last, None
        if last is not None:
            chunks.insert(len(chunks) - 1 if chunks and chunks[-1].final else len(chunks), last)
        return chunks

    def _observe(self, raw: bytes) -> bool:
        value = self._value(raw)
        if value is not None:
            self._note(value)
            if value.get("done") is True:
                self._note_terminal(raw)
        return not self._ended

    def _decode(self, raw: bytes) -> GatewayChunk:
        value = self._value(raw)
        if value is None:
            return GatewayChunk(error=self.outcome.error, raw=raw)
        self._note(value)
        if value.get("done") is not True:
            return self._chunk(value, raw)
        if self.outcome.finish_reason is FinishReason.ERROR:
            self.outcome.error = ErrorDetail(FAILED)
            return GatewayChunk(error=self.outcome.error, raw=raw)
        self._end(value, raw)
        return GatewayChunk(final=True, raw=self._terminal)

    def _end(self, value: dict[str, Any], raw: bytes) -> None:
        """The last line. What it says beside the end goes down as a line of its own, so that a stage can change it."""
        message = value.get("message")
        said = is_answer(message)
        before = b""
        if said:
            content = {name: one for name, one in value.items() if name not in _END_FIELDS}
            before = encode_line(dumps({**content, "done": False}))
            raw = encode_line(dumps({**value, "message": {"role": "assistant", "content": ""}}))
        self._last = attrs.evolve(self._chunk(value, before), usage=self.outcome.usage)
        self._note_terminal(raw)

    def _ends(self, raw: bytes) -> bool:
        """The last line, whose LF was lacking: it says all that a last line says."""
        try:
            value = self._value(raw)
        except ProviderProtocolError:
            return False
        if value is None or value.get("done") is not True:
            return False
        self._note(value)
        self._last = attrs.evolve(self._chunk(value, b""), usage=self.outcome.usage)
        return True

    def _is_plain(self, raw: bytes) -> bool:
        """Whether a line behind the first content says nothing but more of it.

        A name stands unescaped in quotes only as a name or a whole value, so that text which speaks of an end is not
        mistaken; what merely might matter is read.
        """
        return (
            raw.startswith(_OPENS)
            and raw.endswith(_CLOSES)
            and raw.count(_DONE) == 1
            and _GOES_ON in raw
            and not any(name in raw for name in _NOT_PLAIN)
        )

    def _value(self, raw: bytes) -> dict[str, Any] | None:
        """The JSON of a line; None for a blank one and for an error, which is noted."""
        if not raw.strip():
            return None
        try:
            value = loads(raw)
        except JSONError as error:
            raise self._broken(f"a line is {error}") from None
        if not isinstance(value, dict):
            raise self._broken("a line is not a JSON object")
        self.outcome.error = error_in(value)
        return value if self.outcome.error is None else None

    def _note(self, value: Mapping[str, Any]) -> None:
        outcome, message = self.outcome, value.get("message")
        if self._id is None:
            self._id = answer_id(value)
        if outcome.model is None and isinstance(value.get("model"), str):
            outcome.model = value["model"] or None
        outcome.content = outcome.content or is_answer(message)
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        self._calls += len(calls) if isinstance(calls, list) else 0
        if value.get("done") is True:
            outcome.usage = decode_usage(value) or outcome.usage
            outcome.finish_reason = decode_done(value.get("done_reason"), calls=self._calls > 0) or FinishReason.STOP

    def _chunk(self, value: Mapping[str, Any], raw: bytes) -> GatewayChunk:
        message = value.get("message")
        message = message if isinstance(message, dict) else {}
        try:
            parts = decode_parts(message, call_ids(value) if message.get("tool_calls") else "")
        except ShapeError as error:
            raise self._broken(str(error)) from None
        calls = [part for part in parts if isinstance(part, ToolCall)]
        first = self._calls - len(calls)
        delta = ChoiceDelta(
            role="assistant",
            parts=tuple(part for part in parts if isinstance(part, Text | Reasoning)),
            tool_calls=tuple(
                ToolCallDelta(first + i, id=call.id, name=call.name, arguments=call.arguments)
                for i, call in enumerate(calls)
            ),
            finish_reason=self.outcome.finish_reason if value.get("done") is True else None,
            extra=choice_logprobs(value.get("logprobs")),
        )
        return GatewayChunk(
            choices=(delta,),
            id=self._id,
            model=self.outcome.model,
            raw=raw,
            created=seconds_in(value.get("created_at")),
        )
