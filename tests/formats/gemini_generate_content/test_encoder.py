from __future__ import annotations

import json

import pytest
from google.genai import types

from llmgate.codecs.sse import EventSplitter, event_data
from llmgate.formats import get_format
from llmgate.formats.gemini_generate_content.encoder import ContentStreamEncoder
from llmgate.formats.gemini_generate_content.stream import ContentStreamReader
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    ProviderError,
    Reasoning,
    Text,
    ToolCallDelta,
    Usage,
)

from .recorded import CALLS, TEXT, USAGE

FINAL = GatewayChunk(final=True)


def chunk(*parts, finish=None, calls=(), index=0, usage=None, refusal=None):
    choice = ChoiceDelta(index, parts=parts, tool_calls=calls, finish_reason=finish, refusal=refusal)
    return GatewayChunk((choice,), id="r", model="m", usage=usage)


def written(*chunks):
    encoder = ContentStreamEncoder()
    data = b"".join(encoder.encode(one) for one in (*chunks, FINAL))
    values = [json.loads(event_data(raw)) for raw in EventSplitter().feed(data)]
    for value in values:
        types.GenerateContentResponse.model_validate(value)
    reader = ContentStreamReader()
    reader.relay(data)
    reader.finish()
    return values


def parts_of(value):
    return value["candidates"][0]["content"]["parts"]


def test_text_goes_out_as_it_comes_and_the_end_is_told_at_the_end():
    values = written(chunk(Text("a")), chunk(Text("b"), finish=FinishReason.LENGTH), chunk(usage=Usage(1, 2)))
    assert [parts_of(value) for value in values] == [[{"text": "a"}], [{"text": "b"}], [{"text": ""}]]
    assert "finishReason" not in values[1]["candidates"][0]
    assert values[2]["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert values[2]["usageMetadata"] == {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
    assert all((value["responseId"], value["modelVersion"]) == ("r", "m") for value in values)


def test_interleaved_calls_are_gathered_and_whole():
    values = written(
        chunk(calls=(ToolCallDelta(0, "a", "f", '{"x"'), ToolCallDelta(1, "b", "g"))),
        chunk(calls=(ToolCallDelta(1, arguments="{}"), ToolCallDelta(0, arguments=":1}"))),
        chunk(Text("said beside")),
        chunk(calls=(ToolCallDelta(2, "c", "h"),), finish=FinishReason.TOOL_CALLS),
    )
    assert parts_of(values[0]) == [{"text": "said beside"}]
    assert [part["functionCall"] for part in parts_of(values[1])] == [
        {"id": "a", "name": "f", "args": {"x": 1}},
        {"id": "b", "name": "g", "args": {}},
        {"id": "c", "name": "h", "args": {}},
    ]
    assert values[1]["candidates"][0]["finishReason"] == "STOP"


def test_several_answers_end_each_for_itself():
    values = written(chunk(Text("a")), chunk(Text("b"), index=1), chunk(finish=FinishReason.STOP, index=1))
    assert [one["index"] for one in values[-1]["candidates"]] == [0, 1]


def test_a_refusal_is_told():
    values = written(chunk(refusal="no"), chunk(finish=FinishReason.STOP))
    assert parts_of(values[0]) == [{"text": "no"}]
    assert values[-1]["candidates"][0]["finishReason"] == "SAFETY"


def test_the_signature_of_another_vendors_streamed_thought_holds_its_text():
    values = written(chunk(Reasoning("one ")), chunk(Reasoning("two")), chunk(Reasoning("", "sig")))
    history = [{"role": "model", "parts": parts_of(value)} for value in values[:3]]
    request = get_format("gemini-generate-content").decode_request(json.dumps({"contents": history}).encode())
    (turn,) = request.messages
    assert turn.parts == (Reasoning("one "), Reasoning("two"), Reasoning("one two", "sig"))


def test_an_empty_stream_ends_well():
    (value,) = written()
    assert value["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("events", [TEXT, CALLS])
def test_a_stream_of_this_format_survives(events):
    reader, encoder = ContentStreamReader(), ContentStreamEncoder()
    data = b"".join(encoder.encode(one) for one in reader.decode(b"".join(events)))
    data += encoder.encode(FINAL)
    again = ContentStreamReader()
    chunks = again.decode(data)
    again.finish()
    reader.finish()
    assert again.outcome == reader.outcome
    assert b"CisB+/4pZw==" in data or b"c2ln" in data
    assert not any(
        call.id.startswith("gcall") and b"gcall" in data for one in chunks for call in one.choices[0].tool_calls
    )


def test_calls_that_were_changed_go_out_before_the_end_that_was_not():
    encoder, reader = ContentStreamEncoder(), ContentStreamReader()
    first, *_, last = reader.decode(b"".join(CALLS))
    assert encoder.encode(first) == b""
    before = encoder.passed(last)
    assert b'"functionCall"' in before
    assert b"finishReason" not in before
    assert encoder.encode(FINAL) == b"", "the end has been told"


def test_errors_are_googles():
    encoder = ContentStreamEncoder()
    data = encoder.encode(GatewayChunk(error=ErrorDetail("m", type="UNAVAILABLE", status=503)))
    assert json.loads(event_data(data)) == {"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}
    theirs = b'{"error":{"code":429}}'
    assert event_data(encoder.error(ProviderError("m", body=theirs))) == theirs
    assert json.loads(event_data(encoder.error(ProviderError("m"))))["error"]["status"] == "INTERNAL"


def test_usage_is_that_of_the_last_event():
    values = written(chunk(usage=Usage(9)), chunk(usage=Usage(9, 12, reasoning=7)))
    assert values[-1]["usageMetadata"] == USAGE
