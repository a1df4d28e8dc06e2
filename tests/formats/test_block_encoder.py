from __future__ import annotations

import pytest

from llmgate.formats.block_encoder import BlockEncoder, OpenCall
from llmgate.spec import ChoiceDelta, GatewayChunk, GatewayError, Reasoning, Text, ToolCallDelta


class Plain(BlockEncoder):
    """A format whose blocks are words."""

    def encode(self, chunk: GatewayChunk) -> bytes:
        pieces: list[bytes] = []
        for choice in chunk.choices:
            self._choice(choice, pieces)
        if chunk.final:
            self._say_rest(pieces)
        return b" ".join(pieces)

    def passed(self, chunk: GatewayChunk) -> bytes:
        self._adopt(chunk)
        self._open = "call"
        return b""

    def error(self, error: GatewayError) -> bytes:
        return error.message.encode()

    def _part(self, part: Text | Reasoning, pieces: list[bytes]) -> None:
        if self._open != "text":
            self._close(pieces)
            self._open = "text"
            pieces.append(b"<text>")
        pieces.append(part.text.encode())

    def _begin_call(self, call: OpenCall, pieces: list[bytes]) -> None:
        self._open = "call"
        pieces.append(f"<{call.name} {call.id}>".encode())

    def _call_piece(self, text: str) -> bytes:
        return text.encode()

    def _close(self, pieces: list[bytes]) -> None:
        if self._open:
            pieces.append(f"</{self._open}>".encode())
        self._open, self._writing = "", None


def call(index: int, name: str | None = None, arguments: str = "") -> ToolCallDelta:
    return ToolCallDelta(index, id=f"c{index}" if name else None, name=name, arguments=arguments)


def written(*choices: ChoiceDelta) -> str:
    encoder = Plain()
    pieces = [encoder.encode(GatewayChunk((choice,))) for choice in choices]
    pieces.append(encoder.encode(GatewayChunk(final=True)))
    return " ".join(piece.decode() for piece in pieces if piece)


def test_calls_that_come_side_by_side_are_written_one_after_the_other() -> None:
    assert written(
        ChoiceDelta(parts=(Text("a"),), tool_calls=(call(0, "f", "1"),)),
        ChoiceDelta(tool_calls=(call(1, "g", "2"), call(0, arguments="3"))),
        ChoiceDelta(parts=(Text("late"),), tool_calls=(call(1, arguments="4"),)),
    ) == ("<text> a </text> <f c0> 1 3 </call> <g c1> 24 </call> <text> late </text>")


def test_a_call_begins_when_its_name_is_known() -> None:
    assert (
        written(ChoiceDelta(tool_calls=(call(0, arguments="1"),)), ChoiceDelta(tool_calls=(call(0, "f", "2"),)))
        == "<f c0> 12 </call>"
    )


def test_a_refusal_is_text() -> None:
    assert written(ChoiceDelta(refusal="no")) == "<text> no </text>"


@pytest.mark.parametrize("name", ["f", "g"])
def test_a_call_that_goes_down_as_it_came_is_gone_on_with(name: str) -> None:
    encoder = Plain()
    encoder.passed(GatewayChunk((ChoiceDelta(tool_calls=(call(0, name),)),)))
    assert encoder.encode(GatewayChunk((ChoiceDelta(tool_calls=(call(0, arguments="1"),)),))) == b"1"
    assert encoder.encode(GatewayChunk(final=True)) == b"</call>"
