from __future__ import annotations

import json

import attrs
import pytest
from botocore.exceptions import EventStreamError

from llmgate.codecs.eventstream import MessageSplitter, decode_message
from llmgate.formats.bedrock_converse.encoder import HEARTBEAT, ConverseStreamEncoder
from llmgate.formats.bedrock_converse.stream import ConverseStreamReader
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

from .aws_model import parse_stream
from .recorded import TEXT, TOOLS

END = GatewayChunk(final=True)


def said(*deltas: ChoiceDelta, usage: Usage | None = None) -> list[dict[str, object]]:
    encoder = ConverseStreamEncoder()
    written = b"".join(encoder.encode(GatewayChunk((one,))) for one in deltas)
    written += encoder.encode(GatewayChunk(usage=usage)) if usage else b""
    return parse_stream(written + encoder.encode(END))


def kinds(events: list[dict[str, object]]) -> list[tuple[str, object]]:
    pairs = [next(iter(one.items())) for one in events]
    return [(kind, value.get("contentBlockIndex")) for kind, value in pairs]


def call(index: int, call_id: str | None = None, name: str | None = None, arguments: str = "") -> ChoiceDelta:
    return ChoiceDelta(tool_calls=(ToolCallDelta(index, call_id, name, arguments),))


def test_blocks_follow_one_another() -> None:
    events = said(
        ChoiceDelta(role="assistant"),
        ChoiceDelta(parts=(Reasoning("hm"),)),
        ChoiceDelta(parts=(Reasoning("", "sig"),)),
        ChoiceDelta(parts=(Text("a"),)),
        call(0, "x", "f"),
        ChoiceDelta(finish_reason=FinishReason.TOOL_CALLS),
        usage=Usage(5, 6),
    )
    assert kinds(events) == [
        ("messageStart", None),
        ("contentBlockDelta", 0),
        ("contentBlockDelta", 0),
        ("contentBlockStop", 0),
        ("contentBlockDelta", 1),
        ("contentBlockStop", 1),
        ("contentBlockStart", 2),
        ("contentBlockStop", 2),
        ("messageStop", None),
        ("metadata", None),
    ]
    assert events[-2]["messageStop"] == {"stopReason": "tool_use"}
    assert events[-1]["metadata"] == {
        "usage": {"inputTokens": 5, "outputTokens": 6, "totalTokens": 11},
        "metrics": {"latencyMs": 0},
    }


def test_calls_that_come_interleaved_are_written_one_after_the_other() -> None:
    events = said(
        call(0, "x", "f", "{"),
        call(1, "y", "g", '{"b":'),
        ChoiceDelta(parts=(Text("late"),)),
        call(0, arguments="}"),
        call(1, arguments="2}"),
    )
    calls: dict[int, str] = {}
    for one in events:
        match one:
            case {"contentBlockDelta": {"delta": {"toolUse": {"input": text}}, "contentBlockIndex": index}}:
                calls[index] = calls.get(index, "") + text
    assert list(calls.values()) == ["{}", '{"b":2}']
    indexes = [index for _, index in kinds(events) if index is not None]
    assert indexes == sorted(indexes)


def test_an_empty_answer_has_both_its_ends() -> None:
    assert [kind for kind, _ in kinds(said())] == ["messageStart", "messageStop", "metadata"]


def test_a_refusal_is_text_that_was_filtered() -> None:
    events = said(ChoiceDelta(refusal="no"), ChoiceDelta(finish_reason=FinishReason.STOP))
    assert {"messageStop": {"stopReason": "content_filtered"}} in events


def test_encrypted_thought_is_a_block_of_its_own() -> None:
    hidden = Reasoning("", extra={"type": "redacted_thinking", "data": "aGVsbG8="})
    events = said(ChoiceDelta(parts=(hidden,)), ChoiceDelta(parts=(Text("x"),)))
    assert events[1]["contentBlockDelta"]["delta"] == {"reasoningContent": {"redactedContent": b"hello"}}
    assert kinds(events)[2] == ("contentBlockStop", 0)


@pytest.mark.parametrize("stream", [TEXT, TOOLS])
def test_events_that_pass_as_they_came_need_nothing_beside_them(stream: bytes) -> None:
    reader, encoder, written = ConverseStreamReader(), ConverseStreamEncoder(), b""
    for chunk in reader.decode(stream):
        written += encoder.passed(chunk) + chunk.raw if chunk.raw else encoder.encode(chunk)
    assert written == stream


def test_events_that_are_changed_fit_between_those_that_pass() -> None:
    reader, encoder, written = ConverseStreamReader(), ConverseStreamEncoder(), b""
    for chunk in reader.decode(TOOLS):
        if chunk.text:
            more = ChoiceDelta(parts=(Text(chunk.text.upper()),))
            chunk = attrs.evolve(chunk, raw=b"", choices=(more,))
        written += encoder.passed(chunk) + chunk.raw if chunk.raw else encoder.encode(chunk)
    events = parse_stream(written)
    assert events[1]["contentBlockDelta"]["delta"] == {"text": "I LOOK."}
    assert kinds(events) == kinds(parse_stream(TOOLS))


def test_the_heartbeat_is_passed_over_by_botocore() -> None:
    assert parse_stream(HEARTBEAT + TEXT) == parse_stream(TEXT)


def test_an_error_is_an_exception_of_botocores() -> None:
    for error, kind in (
        (RateLimitError("slow down"), "throttlingException"),
        (
            ProviderError("odd", upstream_status=424, body=b'{"message":"in its own words"}'),
            "modelStreamErrorException",
        ),
        (ProviderError("lost"), "internalServerException"),
    ):
        with pytest.raises(EventStreamError) as raised:
            parse_stream(ConverseStreamEncoder().error(error))
        assert raised.value.response["Error"]["Code"] == kind
    (raw,) = MessageSplitter().feed(
        ConverseStreamEncoder().encode(GatewayChunk(error=ErrorDetail("m", "ThrottlingException")))
    )
    message = decode_message(raw)
    assert message.headers[":exception-type"] == "throttlingException"
    assert json.loads(message.payload) == {"message": "m"}
