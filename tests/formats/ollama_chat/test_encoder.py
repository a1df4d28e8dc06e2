from __future__ import annotations

import json

import attrs
import pytest

from formats.ollama_chat.recorded import ANSWER, end, text
from llmgate.formats.ollama_chat.encoder import HEARTBEAT, LineEncoder
from llmgate.formats.ollama_chat.stream import LineReader
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    ProviderError,
    RateLimitError,
    Reasoning,
    Text,
    ToolCallDelta,
    Usage,
)

FINAL = GatewayChunk(final=True)


def said(*choices: ChoiceDelta, **more) -> GatewayChunk:
    return GatewayChunk(choices=choices, **more)


def lines(data: bytes) -> list[dict]:
    assert not data or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def written(*chunks: GatewayChunk) -> list[dict]:
    encoder = LineEncoder()
    return lines(b"".join(encoder.encode(chunk) for chunk in chunks))


def test_text_thought_and_the_end():
    got = written(
        GatewayChunk(created=0),
        said(ChoiceDelta(role="assistant"), model="m"),
        said(ChoiceDelta(parts=(Reasoning("hm"),))),
        said(ChoiceDelta(parts=(Text("a"),)), ChoiceDelta(1, parts=(Text("other"),))),
        said(ChoiceDelta(refusal="no", finish_reason=FinishReason.LENGTH)),
        GatewayChunk(usage=Usage(3, 4)),
        FINAL,
    )
    head = {"model": "m", "created_at": "1970-01-01T00:00:00Z"}
    assert got == [
        {**head, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {**head, "message": {"role": "assistant", "content": "a"}, "done": False},
        {**head, "message": {"role": "assistant", "content": "no"}, "done": False},
        {
            **head,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "length",
            "prompt_eval_count": 3,
            "eval_count": 4,
        },
    ]


def test_interleaved_calls_come_whole_and_in_order():
    pieces = [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(1, None, "g"),
        ToolCallDelta(0, arguments='{"x"'),
        ToolCallDelta(1, arguments=""),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(2, "nameless"),
    ]
    got = written(*(said(ChoiceDelta(tool_calls=(piece,))) for piece in pieces), FINAL)
    assert [line["done"] for line in got] == [False, True]
    assert got[0]["message"]["tool_calls"] == [
        {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
        {"id": "call_1", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    assert got[1]["done_reason"] == "stop"


def test_what_was_read_is_written_again():
    reader = LineReader()
    chunks = [attrs.evolve(chunk, raw=b"") for chunk in reader.decode(ANSWER + end())]
    encoder = LineEncoder()
    again = LineReader()
    again.relay(b"".join(encoder.encode(chunk) for chunk in chunks) + encoder.encode(FINAL)[:0])
    assert (again.outcome.usage, again.outcome.finish_reason) == (reader.outcome.usage, reader.outcome.finish_reason)


def test_calls_that_were_changed_go_before_what_passes():
    encoder = LineEncoder()
    call = ToolCallDelta(0, "a", "f", "{}")
    assert encoder.encode(said(ChoiceDelta(tool_calls=(call,)))) == b""
    before = encoder.passed(GatewayChunk(raw=text("x")))
    assert lines(before)[0]["message"]["tool_calls"][0]["id"] == "a"
    assert encoder.passed(GatewayChunk(final=True, raw=end())) == b""


def test_errors_are_one_line():
    encoder = LineEncoder()
    assert encoder.error(RateLimitError("slow\ndown")) == b'{"error":"slow\\ndown"}\n'
    theirs = ProviderError("x", provider_name="p", body=b'{\n  "error": "no"\n}')
    assert encoder.error(theirs) == b'{"error":"no"}\n'
    assert encoder.encode(GatewayChunk(error=ErrorDetail("broke"))) == b'{"error":"broke"}\n'


@pytest.mark.parametrize("after", [b'{"error":"x"}\n', end()])
def test_a_sign_of_life_means_nothing(after):
    assert json.loads(HEARTBEAT * 3 + after) == json.loads(after)
    reader = LineReader()
    reader.relay(HEARTBEAT + after)
    assert reader.outcome.complete or reader.outcome.error
