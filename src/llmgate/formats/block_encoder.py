"""Writes streams whose blocks follow one another and never interleave, whatever the order in which their pieces come.

Anthropic's Messages, Bedrock's Converse and Cohere's chat are such formats: their clients gather one block at a time.
Only the end of a stream tells that a call is whole, so that what comes beside an open one waits until then.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from llmgate.spec import (
    ChoiceDelta,
    Citation,
    FinishReason,
    GatewayChunk,
    Reasoning,
    StreamEncoder,
    Text,
    ToolCallDelta,
    Usage,
)

from .citations import BEGINS, SaidText

__all__ = ["BlockEncoder", "OpenCall"]


@attrs.define(eq=False)
class OpenCall:
    """A tool call whose pieces come in; ``waiting`` are those not written yet."""

    id: str = ""
    name: str = ""
    extra: dict[str, Any] = attrs.field(factory=dict)
    waiting: list[str] = attrs.field(factory=list)


class BlockEncoder(StreamEncoder):
    """What the encoders of such formats have in common: the order in which things are said.

    A format says how each is written: ``_part``, ``_begin_call``, ``_call_piece`` and ``_close``.
    """

    _keeps_words: ClassVar[bool] = False
    """Whether the words of the answer are kept, for those who repeat them with what stands behind them."""

    def __init__(self) -> None:
        self._begun = False
        self._open = ""
        """The kind of the block that is being written, ``""`` for none."""
        self._writing: OpenCall | None = None
        self._calls: dict[int, OpenCall] = {}
        self._later: list[Text | Reasoning | OpenCall] = []
        self._called = False
        self._refused = False
        self._finish: FinishReason | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None
        self._words = SaidText(keeps=self._keeps_words)

    @abstractmethod
    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        """Write a piece of text or of reasoning."""

    @abstractmethod
    def _begin_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        """Begin the block of a call, which is the open one from then on."""

    @abstractmethod
    def _call_piece(self, text: str) -> bytes:
        """A piece of the open call's arguments."""

    @abstractmethod
    def _close(self, pieces: list[bytes]) -> None:
        """End the open block, if there is one."""

    def _id_of(self, delta: ToolCallDelta) -> str:
        """The id of a call."""
        return delta.id or ""

    def _begins_anew(self, part: Text) -> bool:
        """Whether a text is a block of its own behind the one that is being written, since its sources are."""
        return self._words.length > self._words.begun and BEGINS in part.extra

    def _cited_here(self, part: Text) -> Sequence[Citation]:
        """Of the sources that come with a text those that back words of the open block."""
        return list(self._words.inside(part.citations)) if self._open == "text" else ()

    def _choice(self, choice: ChoiceDelta, pieces: list[bytes]) -> None:
        """Write what is new."""
        parts = list(choice.parts)
        if choice.refusal:
            self._refused = True
            parts.append(Text(choice.refusal))
        for part in parts:
            if self._writing is None:
                self._part(part, pieces)
            else:
                self._later.append(part)
        for call in choice.tool_calls:
            self._call(call, pieces)
        self._finish = choice.finish_reason or self._finish
        self._stop_sequence = choice.stop_sequence or self._stop_sequence

    def _call(self, delta: ToolCallDelta, pieces: list[bytes]) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = self._calls[delta.index] = OpenCall()
            if self._writing is not None or not delta.name:
                self._later.append(call)
        call.id = call.id or self._id_of(delta)
        call.name = call.name or delta.name or ""
        if delta.extra:
            call.extra |= delta.extra
        if delta.arguments:
            call.waiting.append(delta.arguments)
        if self._writing is None and call.name:
            self._later = [one for one in self._later if one is not call]
            self._open_call(call, pieces)
        if self._writing is call:
            self._flush(call, pieces)

    def _open_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        self._close(pieces)
        self._begin_call(call, pieces)
        self._writing, self._called = call, True

    def _flush(self, call: OpenCall, pieces: list[bytes]) -> None:
        text = "".join(call.waiting)
        call.waiting.clear()
        if text:
            pieces.append(self._call_piece(text))

    def _adopt(self, chunk: GatewayChunk) -> None:
        """Note the calls whose blocks begin with an event that goes down as it came."""
        for choice in chunk.choices:
            for call in choice.tool_calls:
                self._writing = self._calls[call.index] = OpenCall(call.id or "", call.name or "", dict(call.extra))
                self._called = True

    def _say_rest(self, pieces: list[bytes]) -> None:
        """Write what has waited for the end."""
        self._close(pieces)
        for one in self._later:
            if not isinstance(one, OpenCall):
                self._part(one, pieces)
            elif one.name or one.waiting:
                self._open_call(one, pieces)
                self._flush(one, pieces)
                self._close(pieces)
        self._later.clear()
        self._close(pieces)
