from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings, strategies as st

from llmgate.codecs import jsons
from llmgate.formats.openai_chat import stream as stream_module
from llmgate.formats.openai_chat.stream import ChatStreamEncoder, ChatStreamReader
from llmgate.spec import (
    ChoiceDelta,
    ErrorDetail,
    FinishReason,
    GatewayChunk,
    ProviderProtocolError,
    RateLimitError,
    Reasoning,
    Text,
    Usage,
)

DONE = b"data: [DONE]\n\n"
COUNTS = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def event(delta: object = None, finish: str | None = None, *, compact: bool = True, **fields: object) -> bytes:
    choices = [{"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}]
    value = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **fields}
    return b"data: " + json.dumps(value, separators=(",", ":") if compact else None).encode() + b"\n\n"


ROLE = event({"role": "assistant", "content": ""}, usage=None)
HELLO = event({"content": "Hello"}, usage=None)
WORLD = event({"content": ' "world"'}, usage=None)
STOP = event(finish="stop", usage=None)
USAGE = event(choices=[], usage=COUNTS)
ANSWER = ROLE + HELLO + WORLD + STOP + USAGE


def test_relays_the_very_bytes():
    reader = ChatStreamReader()
    assert reader.relay(ANSWER) is ANSWER
    assert reader.relay(DONE) == b""
    reader.finish()
    assert reader.terminal == DONE
    outcome = reader.outcome
    assert (outcome.response_id, outcome.model, outcome.usage) == ("c1", "m", Usage(1, 2))
    assert outcome.finish_reason is FinishReason.STOP
    assert outcome.complete


@pytest.mark.parametrize("compact", [True, False])
def test_after_the_first_content_plain_deltas_are_not_parsed(monkeypatch, compact):
    reader = ChatStreamReader()
    reader.relay(ROLE + HELLO)
    parsed: list[bytes] = []
    monkeypatch.setattr(stream_module, "loads", lambda data: parsed.append(data) or jsons.loads(data))
    plain = [
        event({"content": text}, usage=None, compact=compact)
        for text in ("word", 'an error: {"usage": 1}', "[DONE]", "data: [DONE]\n\n", '"finish_reason":"stop"')
    ]
    assert reader.relay(b"".join(plain)) == b"".join(plain)
    assert parsed == []
    reader.relay(STOP + USAGE + DONE)
    assert len(parsed) == 2
    assert reader.outcome.complete


@pytest.mark.parametrize(
    ("delta", "content"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"content": None, "refusal": None, "tool_calls": None}, False),
        ({"content": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"reasoning": "a"}, True),
        ({"refusal": "a"}, True),
        ({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f"}}]}, True),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}]}, True),
        ({"audio": {"data": "a"}}, True),
    ],
)
def test_what_commits_a_stream(delta, content):
    for read in ("relay", "decode"):
        reader = ChatStreamReader()
        getattr(reader, read)(event(delta))
        assert reader.outcome.content is content


def test_life_cycle_events_without_choices_are_no_content():
    reader = ChatStreamReader()
    azure = event(choices=[], prompt_filter_results=[{"prompt_index": 0}])
    assert (
        reader.relay(b": OPENROUTER PROCESSING\n\n" + azure + b"data:\n\n")
        == b": OPENROUTER PROCESSING\n\n" + azure + b"data:\n\n"
    )
    assert not reader.outcome.content


@pytest.mark.parametrize(
    "fields", [{"usage": COUNTS}, {"x_groq": {"usage": COUNTS}}, {"usage": {**COUNTS}, "x_groq": {}}]
)
def test_usage_beside_choices_is_seen_and_relayed(fields):
    for withhold in (True, False):
        reader = ChatStreamReader(withhold_usage=withhold)
        data = HELLO + event(finish="stop", **fields)
        assert reader.relay(data) == data
        assert reader.outcome.usage == Usage(1, 2)


def test_of_usage_on_every_chunk_the_last_counts():
    reader = ChatStreamReader()
    for count in (1, 2, 3):
        reader.relay(event({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": count}))
    assert reader.outcome.usage == Usage(5, 3)


def test_withholds_the_usage_only_event():
    reader = ChatStreamReader(withhold_usage=True)
    assert reader.relay(ANSWER + DONE) == ROLE + HELLO + WORLD + STOP
    assert reader.outcome.usage == Usage(1, 2)
    chunks = ChatStreamReader(withhold_usage=True).decode(ANSWER)
    assert b"".join(chunk.raw for chunk in chunks) == ROLE + HELLO + WORLD + STOP
    assert chunks[-1].usage == Usage(1, 2)


ERRORS = [
    b'data: {"error":{"message":"broke","type":"server_error","code":500}}\n\n',
    b'data: {"error":"broke"}\n\n',
    b'data: [{"error":{"message":"broke"}}]\n\n',
    b'event: error\ndata: {"message":"broke"}\n\n',
    b'data: {"object":"error","message":"broke","code":400}\n\n',
    event(finish="error", error={"message": "broke", "code": 502}),
    event({"content": "x"}, error={"message": "broke"}),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("before", [b"", ROLE, ROLE + HELLO])
def test_an_error_event_ends_the_stream(error, before):
    for ending in (error, error.replace(b"\n", b"\r\n")):
        reader = ChatStreamReader()
        assert reader.relay(before + ending + WORLD + DONE) == before
        assert reader.outcome.error.message == "broke"
        assert reader.relay(HELLO) == b""
        assert not reader.outcome.complete
        chunks = ChatStreamReader().decode(before + ending + WORLD)
        assert chunks[-1].error.message == "broke"
        assert b"".join(chunk.raw for chunk in chunks[:-1]) == before


def test_an_empty_error_is_none():
    reader = ChatStreamReader()
    data = event({"content": "x"}, error=None) + event({"content": "y"}, error={})
    assert reader.relay(data) == data
    assert reader.outcome.error is None


@pytest.mark.parametrize(
    "broken", [b'data: {"choices": [\n\n', b"data: 1\n\n", b"data: [1]\n\n", b"data: {]}\n\n", b"data: \xff\n\n"]
)
def test_a_broken_event_is_a_protocol_error(broken):
    for read in ("relay", "decode"):
        reader = ChatStreamReader()
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(broken)
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(HELLO)
        with pytest.raises(ProviderProtocolError):
            reader.finish()


def test_what_came_before_a_broken_event_is_not_lost():
    reader = ChatStreamReader()
    assert reader.relay(ROLE + HELLO + b"data: {]\n\n" + WORLD) == ROLE + HELLO
    with pytest.raises(ProviderProtocolError):
        reader.relay(WORLD)
    reader = ChatStreamReader()
    assert [chunk.raw for chunk in reader.decode(HELLO + b"data: {]\n\n" + WORLD)] == [HELLO]
    with pytest.raises(ProviderProtocolError):
        reader.finish()


def test_an_event_without_end_is_refused(monkeypatch):
    reader = ChatStreamReader()
    monkeypatch.setattr(reader, "_splitter", stream_module.EventSplitter(max_event_bytes=100))
    with pytest.raises(ProviderProtocolError, match="longer than"):
        reader.relay(b"data: " + b"x" * 200)
    with pytest.raises(ProviderProtocolError):
        reader.finish()


@pytest.mark.parametrize(
    "data", [b"", ROLE, ANSWER, ANSWER + DONE[:-8], ANSWER + b"data: [DONE", ANSWER + b": [DONE]\n\n"]
)
def test_without_the_terminal_marker_nothing_is_complete(data):
    """Not even with a finish reason and usage: a stream that was cut there looks just the same."""
    reader = ChatStreamReader()
    reader.relay(data)
    with pytest.raises(ProviderProtocolError, match="terminal marker") as caught:
        reader.finish()
    assert caught.value.retryable


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data:[DONE]\r"])
def test_a_terminal_marker_without_its_blank_line_is_one(end):
    reader = ChatStreamReader()
    assert reader.relay(ANSWER + end) == ANSWER
    reader.finish()
    assert reader.outcome.complete
    assert reader.terminal.startswith(end)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_and_splits_change_nothing(line_end):
    data = (ANSWER + DONE).replace(b"\n", line_end)
    expected = None
    for size in (1, 2, 3, 7, 64, len(data)):
        reader = ChatStreamReader(withhold_usage=True)
        relayed = b"".join(reader.relay(data[place : place + size]) for place in range(0, len(data), size))
        reader.finish()
        text = relayed.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        assert text.replace(b"\n\n\n", b"\n\n") == ROLE + HELLO + WORLD + STOP
        assert reader.outcome.usage == Usage(1, 2)
        expected = expected or reader.outcome
        assert reader.outcome == expected


def test_nothing_follows_the_terminal_marker():
    reader = ChatStreamReader()
    assert reader.relay(HELLO + DONE + WORLD) == HELLO
    assert reader.relay(WORLD) == b""
    assert reader.decode(WORLD) == []
    assert reader.terminal == DONE


def test_comments_are_chunks_that_say_nothing():
    chunks = ChatStreamReader().decode(b": ping\n\n" + DONE)
    assert [(chunk.raw, chunk.final, chunk.has_content) for chunk in chunks] == [
        (b": ping\n\n", False, False),
        (DONE, True, False),
    ]
    assert ChatStreamEncoder(include_usage=True).encode(chunks[0]) == b""


def test_the_finish_reason_is_that_of_the_first_answer():
    reader = ChatStreamReader()
    two = [
        {"index": 0, "delta": {"content": "x"}, "finish_reason": None},
        {"index": 1, "delta": {}, "finish_reason": "length"},
    ]
    reader.relay(HELLO + event(choices=two))
    assert reader.outcome.finish_reason is None
    reader.relay(event(choices=[two[1], {"index": 0, "delta": {}, "finish_reason": "stop"}]))
    assert reader.outcome.finish_reason is FinishReason.STOP


def encoded(*chunks: GatewayChunk, include_usage: bool = False) -> list[object]:
    encoder = ChatStreamEncoder(include_usage=include_usage)
    data = b"".join(map(encoder.encode, chunks))
    return [json.loads(one[6:]) if one != b"data: [DONE]" else "[DONE]" for one in data.split(b"\n\n") if one]


def test_writes_usage_once_and_only_when_asked_for():
    chunks = (
        GatewayChunk((ChoiceDelta(parts=(Text("a"),)),), id="i", model="m", created=7, usage=Usage(1, 1)),
        GatewayChunk((ChoiceDelta(finish_reason=FinishReason.STOP),), usage=Usage(1, 2)),
        GatewayChunk(final=True),
    )
    plain = encoded(*chunks)
    assert [one == "[DONE]" or "usage" in one for one in plain] == [False, False, True]
    asked = encoded(*chunks, include_usage=True)
    assert asked[:2] == plain[:2]
    assert asked[2:] == [
        {"id": "i", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [], "usage": COUNTS},
        "[DONE]",
    ]


def test_every_event_names_the_answer():
    first, second = encoded(
        GatewayChunk((ChoiceDelta(role="assistant"),), id="i", model="m", created=7),
        GatewayChunk((ChoiceDelta(parts=(Reasoning("hm"), Text("a")), refusal="no"),)),
    )
    for one in (first, second):
        assert (one["id"], one["model"], one["created"], one["object"]) == ("i", "m", 7, "chat.completion.chunk")
    assert second["choices"] == [
        {"index": 0, "delta": {"content": "a", "reasoning_content": "hm", "refusal": "no"}, "finish_reason": None}
    ]


def test_errors_in_the_stream():
    data = ChatStreamEncoder().error(RateLimitError("slow down"))
    error = {"message": "slow down", "type": "rate_limit_error", "param": None, "code": "rate_limit_exceeded"}
    assert data == b"data: " + json.dumps({"error": error}, separators=(",", ":")).encode() + b"\n\n"
    (error,) = encoded(GatewayChunk(error=ErrorDetail("broke", "t", "c", "p")))
    assert error == {"error": {"message": "broke", "type": "t", "param": "p", "code": "c"}}


PIECES = st.sampled_from(
    [
        'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n',
        'data: {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": null}], "usage": null}\n\n',
        'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n',
        'data: {"choices":[{"delta":{"content":"\\"error\\" and \\"usage\\": 1"},"finish_reason":null}]}\n\n',
        'data: {"error":{"message":"no"}}\n\n',
        'data: {"a":1}\ndata: {"b":2}\n\n',
        "data: [DONE]\n\n",
        "data: [1]\n\n",
        ": still here\n\n",
        "event: x\ndata: {}\n\n",
        'data: {"choices":[]}\r\n\r\n',
        'data: {"choices":[]} \n\n',
        "data: {\n\n",
        "data: }\n\n",
        "\n",
    ]
).map(str.encode)


@given(st.lists(PIECES, max_size=14), st.integers(0, 3))
def test_a_burst_is_called_plain_only_where_each_of_its_events_is(events, start):
    count = stream_module._count_plain(events, start)
    assert all(map(stream_module._is_plain, events[start : start + count]))


def test_a_burst_of_plain_events_is_plain_up_to_the_first_that_is_not():
    plain = HELLO
    assert stream_module._is_plain(plain)
    assert stream_module._count_plain([plain] * 50, 0) == 50
    assert stream_module._count_plain([b": x\n\n", *[plain] * 50, b"data: [DONE]\n\n"], 1) == 50
    for other in (STOP, USAGE, b'data: {"error":1}\n\n'):
        assert stream_module._count_plain([*[plain] * 20, other, *[plain] * 20], 0) == 20


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=14), st.data())
def test_a_relay_in_bursts_says_and_sends_what_a_relay_event_by_event_does(events, data):
    body = b"".join([HELLO, *events])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    bursts = [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]
    singles = [body[index : index + 1] for index in range(len(body))]
    assert relayed(bursts) == relayed(singles)


def relayed(pieces):
    """What a client gets of a stream, the error that ends it, and what has been learned."""
    reader = ChatStreamReader(withhold_usage=True)
    sent, failure = b"", None
    for piece in pieces:
        try:
            sent += reader.relay(piece)
        except ProviderProtocolError as error:
            failure = str(error)
            break
    try:
        reader.finish()
    except ProviderProtocolError as error:
        failure = str(error)
    return sent, failure, reader.outcome, reader.terminal.strip()


def test_usage_that_was_changed_goes_before_a_terminal_marker_that_passes():
    encoder = ChatStreamEncoder(include_usage=True)
    assert encoder.passed(GatewayChunk(raw=HELLO)) == b""
    encoder.encode(GatewayChunk(usage=Usage(1, 2)))
    assert b'"usage"' in encoder.passed(GatewayChunk(final=True, raw=DONE))
    assert ChatStreamEncoder().passed(GatewayChunk(final=True, raw=DONE)) == b""


_choices = st.builds(
    ChoiceDelta,
    index=st.integers(0, 1),
    role=st.none() | st.just("assistant"),
    parts=st.lists(
        st.builds(Text, st.sampled_from(["", "a", 'é"', "llmgate-text", "\ud800"]))
        | st.builds(Reasoning, st.just("hm")),
        max_size=2,
    ).map(tuple),
    refusal=st.none() | st.just("no"),
    finish_reason=st.none() | st.just(FinishReason.STOP),
    extra=st.just({}) | st.just({"logprobs": None}) | st.just({"delta": {"more": 1}}),
    stop_sequence=st.none() | st.just("end"),
)
_chunks = st.builds(
    GatewayChunk,
    choices=st.lists(_choices, max_size=2).map(tuple),
    id=st.none() | st.sampled_from(["one", "two", "llmgate-text"]),
    model=st.none() | st.sampled_from(["m", "llmgate-text"]),
    created=st.none() | st.sampled_from([1, 2]),
    extra=st.just({}) | st.just({"more": "llmgate-text"}),
)


@given(st.lists(_chunks, max_size=8), st.booleans())
def test_what_is_around_a_text_is_written_as_it_is_around_anything(chunks, functions):
    """An event whose surroundings are remembered has the very bytes of one that is written whole."""

    def written(encoder: ChatStreamEncoder) -> list[bytes | type[jsons.JSONError]]:
        events: list[bytes | type[jsons.JSONError]] = []
        for chunk in chunks:
            try:
                events.append(encoder.encode(chunk))
            except jsons.JSONError:
                events.append(jsons.JSONError)
        return events

    quick = written(ChatStreamEncoder(functions=functions))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_module, "_text_alone", lambda choices: None)
        assert quick == written(ChatStreamEncoder(functions=functions))
