from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.codecs.eventstream import MessageSplitter, encode_message
from llmgate.formats.bedrock_converse.encoder import HEARTBEAT, ConverseStreamEncoder
from llmgate.formats.bedrock_converse.stream import ConverseStreamReader
from llmgate.spec import FinishReason, GatewayChunk, ProviderProtocolError, Reasoning, Text, Usage

from .aws_model import parse_stream
from .recorded import REASONED, TEXT, TOOLS, delta, event, exception, stop, stream, tool

STREAMS = {"text": TEXT, "tools": TOOLS, "reasoned": REASONED}


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def decoded(data: bytes, size: int = 1 << 20) -> tuple[ConverseStreamReader, list[GatewayChunk]]:
    reader = ConverseStreamReader()
    chunks = [chunk for piece in pieces(data, size) for chunk in reader.decode(piece)]
    return reader, chunks


def plain(chunks: list[GatewayChunk]) -> list[object]:
    return [(one.choices, one.usage, one.error, one.final, one.raw) for one in chunks]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
def test_a_relay_changes_no_byte(name: str, size: int) -> None:
    reader, seen = ConverseStreamReader(), b""
    for piece in pieces(STREAMS[name], size):
        assert not reader.outcome.complete
        seen += reader.relay(piece)
    assert seen + reader.terminal == STREAMS[name]
    assert reader.outcome.complete
    assert reader.outcome.content
    assert reader.outcome.usage is not None
    reader.finish()


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_any_split_decodes_alike(name: str, size: int) -> None:
    whole, split = decoded(STREAMS[name]), decoded(STREAMS[name], size)
    assert plain(split[1]) == plain(whole[1])
    assert split[0].outcome == whole[0].outcome


def test_text_and_usage() -> None:
    reader, chunks = decoded(TEXT)
    assert "".join(chunk.text for chunk in chunks) == "Grüße 🌍\r\n 日本"
    assert chunks[0].choices[0].role == "assistant"
    assert reader.outcome.finish_reason is FinishReason.STOP
    assert chunks[-2].usage == reader.outcome.usage == Usage(input_tokens=10, output_tokens=5)
    assert chunks[-2].raw == b"", "the bytes of the last event go down behind the seal"
    assert chunks[-1].final
    assert chunks[-1].raw == reader.terminal


def test_tools_are_counted_by_themselves_and_one_without_arguments_has_an_empty_object() -> None:
    reader, chunks = decoded(TOOLS)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.tool_calls]
    assert [(call.index, call.id, call.name) for call in calls if call.id] == [
        (0, "tooluse_a", "weather"),
        (1, "tooluse_b", "now"),
    ]
    assert "".join(call.arguments for call in calls if call.index == 0) == '{"city":"Paris"}'
    assert "".join(call.arguments for call in calls if call.index == 1) == "{}"
    assert reader.outcome.finish_reason is FinishReason.TOOL_CALLS
    assert reader.outcome.usage == Usage(input_tokens=1110, output_tokens=5, cache_read=1000, cache_write_5m=100)


def test_thoughts_keep_their_signature_and_what_is_encrypted_its_bytes() -> None:
    _, chunks = decoded(REASONED)
    parts = [part for chunk in chunks for choice in chunk.choices for part in choice.parts]
    assert parts == [
        Reasoning("Let me ", extra={"type": "thinking"}),
        Reasoning("see.", extra={"type": "thinking"}),
        Reasoning("", "EqQBCg=="),
        Reasoning("", extra={"type": "redacted_thinking", "data": "aGVsbG8="}),
        Text("4"),
    ]


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_decoded_and_written_anew_says_the_same_to_botocore(name: str) -> None:
    _, chunks = decoded(STREAMS[name])
    encoder = ConverseStreamEncoder()
    written = b"".join(encoder.encode(chunk) for chunk in chunks)
    ours, theirs = parse_stream(written), parse_stream(STREAMS[name])
    assert _said(ours) == _said(theirs)
    assert ours[-1]["metadata"]["usage"] == theirs[-1]["metadata"]["usage"]
    assert next(iter(ours[0])) == "messageStart"


def _said(events: list[dict[str, object]]) -> object:
    blocks: dict[int, dict[str, object]] = {}
    stops = []
    for one in events:
        match one:
            case {"contentBlockStart": {"start": start, "contentBlockIndex": index}}:
                blocks.setdefault(index, {})["start"] = start
            case {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": index}}:
                blocks.setdefault(index, {}).setdefault("text", []).append(text)
            case {"contentBlockDelta": {"delta": {"toolUse": {"input": text}}, "contentBlockIndex": index}}:
                blocks[index]["input"] = str(blocks[index].get("input", "")) + text
            case {"contentBlockDelta": {"delta": {"reasoningContent": thought}, "contentBlockIndex": index}}:
                block = blocks.setdefault(index, {})
                for name, value in thought.items():
                    block[name] = block[name] + value if name in block else value
            case {"contentBlockStop": {"contentBlockIndex": index}}:
                assert index in blocks
            case {"messageStop": end}:
                stops.append(end)
    for block in blocks.values():
        if "start" in block:
            block["input"] = json.loads(str(block.get("input") or "{}"))
        if "text" in block:
            block["text"] = "".join(block["text"])
    return blocks, stops


def test_the_stream_is_complete_with_both_its_ends_and_not_before() -> None:
    events = MessageSplitter().feed(TEXT)
    for size in range(len(events)):
        reader = ConverseStreamReader()
        reader.relay(b"".join(events[:size]))
        assert not reader.outcome.complete
        if size == len(events) - 1:  # all but the usage
            reader.finish()
            assert reader.outcome.complete
            assert (reader.terminal, reader.outcome.usage) == (b"", None)
        else:
            with pytest.raises(ProviderProtocolError) as failed:
                reader.finish()
            assert failed.value.code == "incomplete_stream"


def test_a_stream_that_is_cut_within_its_last_event_is_incomplete() -> None:
    reader = ConverseStreamReader()
    reader.relay(TEXT[:-3])
    with pytest.raises(ProviderProtocolError, match="before its terminal marker"):
        reader.finish()


@pytest.mark.parametrize(
    ("kind", "name", "status"),
    [
        ("throttlingException", "ThrottlingException", 429),
        ("modelStreamErrorException", "ModelStreamErrorException", 424),
        ("internalServerException", "InternalServerException", 500),
        ("serviceUnavailableException", "ServiceUnavailableException", 503),
        ("validationException", "ValidationException", 400),
        ("somethingNewException", "SomethingNewException", None),
    ],
)
@pytest.mark.parametrize("content", [False, True])
def test_an_exception_is_an_error_event(kind: str, name: str, status: int | None, *, content: bool) -> None:
    before = stream(("messageStart", {"role": "assistant"}), *([delta(0, {"text": "Hi"})] if content else []))
    for use in ("relay", "decode"):
        reader = ConverseStreamReader()
        given = getattr(reader, use)(before + exception(kind, "Too many."))
        detail = reader.outcome.error
        assert detail is not None
        assert (detail.message, detail.type, detail.status) == ("Too many.", name, status)
        if use == "relay":
            assert given == before, "the exception is no part of what goes down"
        assert not reader.outcome.complete


def test_an_error_that_is_no_exception_is_read_from_its_headers() -> None:
    reader = ConverseStreamReader()
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "An internal error"}
    reader.decode(encode_message(headers))
    assert reader.outcome.error is not None
    assert (reader.outcome.error.message, reader.outcome.error.type) == ("An internal error", "InternalError")


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b'"x"'])
def test_an_event_that_is_no_json_breaks_the_stream_after_what_came_before(payload: bytes) -> None:
    good = event("messageStart", {"role": "assistant"})
    bad = encode_message({":event-type": "messageStop", ":message-type": "event"}, payload)
    reader = ConverseStreamReader()
    assert reader.relay(good + bad) == good
    with pytest.raises(ProviderProtocolError, match="Converse events"):
        reader.relay(b"")


def test_a_wrong_checksum_breaks_the_stream_also_behind_content() -> None:
    good = stream(("messageStart", {"role": "assistant"}), delta(0, {"text": "Hi"}))
    bad = bytearray(event(*delta(0, {"text": "no"})))
    bad[-20] ^= 1
    reader = ConverseStreamReader()
    assert reader.relay(good + bytes(bad)) == good
    with pytest.raises(ProviderProtocolError, match="checksum"):
        reader.relay(b"more")


def test_unknown_events_are_relayed_and_say_nothing() -> None:
    new = event("somethingNew", {"a": 1}) + HEARTBEAT
    whole = MessageSplitter().feed(TEXT)
    data = whole[0] + new + b"".join(whole[1:])
    reader = ConverseStreamReader()
    assert reader.relay(data) + reader.terminal == data
    _, chunks = decoded(data)
    assert not chunks[1].choices


def test_an_event_of_two_megabytes() -> None:
    text = "x" * (2 << 20)
    data = stream(("messageStart", {"role": "assistant"}), delta(0, {"text": text}))
    reader = ConverseStreamReader()
    chunks = [chunk for piece in pieces(data, 1400) for chunk in reader.decode(piece)]
    assert chunks[-1].text == text


def test_an_event_beyond_the_bound_is_refused() -> None:
    reader = ConverseStreamReader(max_message_bytes=1000)
    with pytest.raises(ProviderProtocolError, match="longer than 1000 bytes"):
        reader.relay(event(*delta(0, {"text": "x" * 2000})))


def test_tools_whose_pieces_interleave_are_told_apart() -> None:
    data = stream(
        ("messageStart", {"role": "assistant"}),
        tool(0, "a", "f"),
        tool(1, "b", "g"),
        delta(1, {"toolUse": {"input": '{"b":'}}),
        delta(0, {"toolUse": {"input": '{"a":1}'}}),
        delta(1, {"toolUse": {"input": "2}"}}),
        stop(0),
        stop(1),
    )
    _, chunks = decoded(data)
    calls = [call for chunk in chunks for choice in chunk.choices for call in choice.tool_calls]
    assert "".join(call.arguments for call in calls if call.index == 0) == '{"a":1}'
    assert "".join(call.arguments for call in calls if call.index == 1) == '{"b":2}'


@settings(max_examples=60)
@given(st.lists(st.sampled_from(MessageSplitter().feed(TEXT + TOOLS + REASONED)), max_size=12), st.randoms())
def test_whatever_order_events_come_in_nothing_but_a_protocol_error_is_raised(
    events: list[bytes], chance: random.Random
) -> None:
    data = b"".join(events)
    for use in ("relay", "decode"):
        reader = ConverseStreamReader()
        try:
            while data:
                size = chance.randrange(1, 400)
                getattr(reader, use)(data[:size])
                data = data[size:]
            reader.finish()
        except ProviderProtocolError:
            pass


WORDS = [
    "contentBlockIndex", "delta", "start", "toolUse", "toolUseId", "name", "input", "text", "reasoningContent",
    "signature", "redactedContent", "stopReason", "usage", "inputTokens", "cacheDetails", "message",
]  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(
    st.sampled_from(
        ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"]
    ),
    st.dictionaries(st.sampled_from(WORDS), json_values, max_size=3),
)
def test_events_of_any_shape_are_read(kind: str, value: dict[str, object]) -> None:
    data = event(kind, value)
    for use in ("relay", "decode"):
        getattr(ConverseStreamReader(), use)(data)
