from __future__ import annotations

import json

import attrs
import pytest

from formats.cohere_chat.recorded import ANSWER, call, content, end, start
from formats.cohere_chat.test_stream import told
from llmgate.formats.cohere_chat.encoder import EventStreamEncoder
from llmgate.formats.cohere_chat.stream import EventStreamReader
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


def said(*parts, **fields) -> GatewayChunk:
    return GatewayChunk(choices=(ChoiceDelta(parts=parts, **fields),))


def events(data: bytes) -> list[dict]:
    frames = [frame for frame in data.split(b"\n\n") if frame]
    values = [json.loads(frame.partition(b"\ndata: ")[2]) for frame in frames]
    assert [frame.partition(b"\n")[0] for frame in frames] == [f"event: {one['type']}".encode() for one in values]
    return values


def written(*chunks: GatewayChunk) -> list[dict]:
    encoder = EventStreamEncoder()
    return events(b"".join(encoder.encode(chunk) for chunk in chunks))


def test_thought_text_and_the_end():
    got = written(
        GatewayChunk(created=3),
        GatewayChunk(choices=(ChoiceDelta(role="assistant"),), id="i", model="m"),
        said(Reasoning("hm"), Text("a")),
        said(Text("b"), refusal="!", finish_reason=FinishReason.LENGTH),
        GatewayChunk(usage=Usage(3, 4, cache_read=1)),
        FINAL,
    )
    assert [one["type"] for one in got] == [
        *("message-start", "content-start", "content-delta", "content-end", "content-start", "content-delta"),
        *("content-delta", "content-delta", "content-end", "message-end"),
    ]
    assert got[0]["id"] == "i"
    assert got[1]["delta"]["message"]["content"] == {"type": "thinking", "thinking": ""}
    assert (got[4]["index"], got[5]["delta"]["message"]["content"]) == (1, {"text": "a"})
    counts = {"input_tokens": 3, "output_tokens": 4}
    usage = {"billed_units": counts, "tokens": counts, "cached_tokens": 1}
    assert got[-1]["delta"] == {"finish_reason": "MAX_TOKENS", "usage": usage}


def test_interleaved_calls_follow_one_another():
    pieces = [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(1, None, "g"),
        ToolCallDelta(0, arguments='{"x"'),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(0, arguments=":1}"),
    ]
    got = written(said(Text("a")), *(said(tool_calls=(piece,)) for piece in pieces), said(Text("late")), FINAL)
    kinds = [one["type"] for one in got]
    assert kinds == [
        *("message-start", "content-start", "content-delta", "content-end"),
        *("tool-call-start", "tool-call-delta", "tool-call-delta", "tool-call-end"),
        *("tool-call-start", "tool-call-delta", "tool-call-end"),
        *("content-start", "content-delta", "content-end", "message-end"),
    ]
    calls = [one for one in got if one["type"] == "tool-call-start"]
    assert [(one["index"], one["delta"]["message"]["tool_calls"]["id"]) for one in calls] == [(0, "a"), (1, "call_1")]
    assert got[-1]["delta"]["finish_reason"] == "TOOL_CALL"


def test_what_was_read_is_written_again():
    reader = EventStreamReader()
    chunks = [attrs.evolve(chunk, raw=b"") for chunk in reader.decode(ANSWER + end("TOOL_CALL"))]
    encoder, again = EventStreamEncoder(), EventStreamReader()
    assert told(again.decode(b"".join(encoder.encode(chunk) for chunk in chunks))) == told(chunks)
    assert again.outcome.complete


def test_events_that_pass_and_events_that_were_changed_make_one_stream():
    reader = EventStreamReader()
    chunks = reader.decode(start() + content(0, "text", "a") + call(0, "i", "f", "{}") + end("TOOL_CALL"))
    encoder = EventStreamEncoder()
    out = b""
    for chunk in chunks:
        if chunk.text == "a":
            chunk = said(Text("A"))
        out += encoder.passed(chunk) + chunk.raw if chunk.raw else encoder.encode(chunk)
    again = EventStreamReader()
    got = told(again.decode(out))
    assert (got["text"], got["calls"]) == ("A", {0: ("i", "f", "{}")})
    assert events(out)[2]["index"] == 0
    assert [one["type"] for one in events(out)].count("content-start") == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RateLimitError("slow"), "slow"),
        (ProviderError("x", provider_name="p", body=b'{"message":"no"}'), "no"),
        (ProviderError("x", provider_name="p", body=b"<html>"), "x"),
    ],
)
def test_an_error_is_an_end_that_failed(error, message):
    (got,) = events(EventStreamEncoder().error(error))
    assert got == {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message}}
    reader = EventStreamReader()
    reader.relay(EventStreamEncoder().error(error))
    assert (reader.outcome.complete, reader.outcome.error.message) == (False, message)


def test_an_error_chunk():
    (got,) = events(EventStreamEncoder().encode(GatewayChunk(error=ErrorDetail("broke"))))
    assert got["delta"]["error"] == "broke"
