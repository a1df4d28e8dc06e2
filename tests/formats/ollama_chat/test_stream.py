from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings, strategies as st

from formats.ollama_chat.recorded import ANSWER, SECONDS, call, end, line, text
from llmgate.codecs import jsons
from llmgate.formats.ollama_chat import stream as stream_module
from llmgate.formats.ollama_chat.stream import LineReader
from llmgate.spec import FinishReason, ProviderProtocolError, Reasoning, Text, Usage

WHOLE = ANSWER + end()


def decoded(*pieces: bytes):
    reader = LineReader()
    return reader, [chunk for piece in pieces for chunk in reader.decode(piece)]


def told(chunks) -> dict[str, object]:
    said: dict[str, object] = {"text": "", "thought": "", "calls": {}}
    for chunk in chunks:
        for choice in chunk.choices:
            said["text"] += "".join(part.text for part in choice.parts if isinstance(part, Text))
            said["thought"] += "".join(part.text for part in choice.parts if isinstance(part, Reasoning))
            said["calls"] |= {one.index: (one.id, one.name, one.arguments) for one in choice.tool_calls}
            said["finish"] = choice.finish_reason or said.get("finish")
        said["usage"] = chunk.usage or said.get("usage")
    return said


TOLD = {
    "text": 'Hello "done" wörld 👩‍👩‍👧"done":true',
    "thought": "Hmm \u2028 é",
    "calls": {0: ("call_abc", "weather", '{"city":"Zü"}'), 1: ("call_def", "now", "{}")},
    "finish": FinishReason.TOOL_CALLS,
    "usage": Usage(26, 7),
}


def test_relays_the_very_bytes():
    reader = LineReader()
    assert reader.relay(ANSWER) is ANSWER
    assert reader.relay(end()) == b""
    reader.finish()
    assert reader.terminal == end()
    outcome = reader.outcome
    assert (outcome.response_id, outcome.model, outcome.finish_reason) == (None, "llama3.2", FinishReason.TOOL_CALLS)
    assert (outcome.usage, outcome.complete, outcome.content) == (Usage(26, 7), True, True)


def test_decodes_every_line():
    reader, chunks = decoded(WHOLE)
    assert told(chunks) == TOLD
    assert b"".join(chunk.raw for chunk in chunks) == WHOLE
    assert [chunk.final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk.created for chunk in chunks[:-1]} == {SECONDS}
    assert len({chunk.id for chunk in chunks[:-1]}) == 1
    assert chunks[0].id.startswith("chat-")
    assert (chunks[-2].usage, chunks[-2].raw) == (Usage(26, 7), b"")
    assert reader.terminal == end()


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_every_split_reads_alike(ends):
    data = (text("é \u2028 👩‍👩‍👧") + line({"tool_calls": [call("f", {"a": 1})]}) + end()).replace(b"\n", ends)
    expected = told(decoded(data)[1])
    assert expected["usage"] == Usage(26, 7)
    for place in range(len(data) + 1):
        reader = LineReader()
        assert told([*reader.decode(data[:place]), *reader.decode(data[place:])]) == expected
        reader = LineReader()
        assert reader.relay(data[:place]) + reader.relay(data[place:]) + reader.terminal == data


@settings(max_examples=50)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_many_splits_read_alike(places):
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise([0, *sorted(places), len(WHOLE)])]
    assert told(decoded(*pieces)[1]) == TOLD
    reader = LineReader()
    assert b"".join(map(reader.relay, pieces)) + reader.terminal == WHOLE


def test_after_the_first_content_plain_lines_are_not_parsed(monkeypatch):
    reader = LineReader()
    reader.relay(text("first"))
    parsed: list[bytes] = []
    monkeypatch.setattr(stream_module, "loads", lambda data: parsed.append(data) or jsons.loads(data))
    plain = text("word", '"done":true', '{"error":"no"}', '"tool_calls"')
    assert reader.relay(plain) == plain
    assert parsed == []
    read = text("done") + line({"tool_calls": [call("f", {"done": False})]})
    assert reader.relay(read) == read
    reader.relay(end())
    assert len(parsed) == 3
    assert (reader.outcome.complete, reader.outcome.finish_reason) == (True, FinishReason.TOOL_CALLS)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (text(""), False),
        (b"\n", False),
        (text("a"), True),
        (line({"thinking": "a"}), True),
        (line({"tool_calls": [call("f", {})]}), True),
        (line({"tool_calls": []}), False),
        (end(message={"content": "a"}), True),
        (end(), False),
    ],
)
def test_what_commits_a_stream(data, content):
    for read in ("relay", "decode"):
        reader = LineReader()
        getattr(reader, read)(data)
        assert reader.outcome.content is content


def test_a_last_line_that_says_something_goes_down_as_two_where_a_stage_may_change_it():
    last = end("length", {"content": "tail", "tool_calls": [call("f", {})]})
    reader = LineReader()
    assert reader.relay(text("a")) == text("a")
    assert reader.relay(last) == b""
    assert reader.terminal == last  # relayed, it stays one
    reader, chunks = decoded(text("a"), last)
    said, final = chunks[-2:]
    assert (said.text, said.choices[0].finish_reason, said.usage) == ("tail", FinishReason.LENGTH, Usage(26, 7))
    assert json.loads(said.raw)["message"]["content"] == "tail"
    assert (json.loads(said.raw)["done"], "eval_count" in json.loads(said.raw)) == (False, False)
    value = json.loads(final.raw)
    assert (value["done"], value["message"]["content"], value["eval_count"]) == (True, "", 7)


def test_calls_without_ids_get_ids_that_differ():
    one = line({"tool_calls": [call("f", {"a": 1}), call("f", {"a": 1}, 1)]})
    ids = [delta.id for chunk in decoded(one)[1] for choice in chunk.choices for delta in choice.tool_calls]
    again = [delta.id for chunk in decoded(one)[1] for choice in chunk.choices for delta in choice.tool_calls]
    other = one.replace(b"123456789", b"123456780")
    others = [delta.id for chunk in decoded(other)[1] for choice in chunk.choices for delta in choice.tool_calls]
    assert ids == again
    assert len({*ids, *others}) == 4


@pytest.mark.parametrize("ending", [b"", b"\n"])
@pytest.mark.parametrize("read", ["relay", "decode"])
def test_the_last_line_may_lack_its_end(ending, read):
    reader = LineReader()
    chunks = getattr(reader, read)(text("a") + end()[:-1] + ending)
    reader.finish()
    if read == "decode":  # as the pipeline does after the upstream has closed
        assert told([*chunks, *reader.decode(b"")])["finish"] is FinishReason.STOP
    assert reader.terminal == end()
    assert (reader.outcome.complete, reader.outcome.usage) == (True, Usage(26, 7))


@pytest.mark.parametrize("before", [b"", text("Hello")])
@pytest.mark.parametrize("error", [b'{"error":"broke"}\n', b'{"error":{"message":"broke"}}\n'])
def test_an_error_line_ends_the_stream(before, error):
    for read in ("relay", "decode"):
        reader = LineReader()
        got = getattr(reader, read)(before + error + text("more"))
        assert reader.outcome.error.message == "broke"
        assert jsons.loads(reader.outcome.error.body) == {"error": "broke"}
        assert not reader.outcome.complete
        if read == "relay":
            assert got == before
        else:
            assert got[-1].error is reader.outcome.error
        assert not getattr(reader, read)(text("more"))


@pytest.mark.parametrize("data", [b"", text("a"), text("a") + end()[:-2], text("a") + b'{"done":tru'])
def test_a_stream_that_ends_early_is_incomplete(data):
    for read in ("relay", "decode"):
        reader = LineReader()
        getattr(reader, read)(data)
        with pytest.raises(ProviderProtocolError) as cut:
            reader.finish()
        assert cut.value.code == "incomplete_stream"


@pytest.mark.parametrize("data", [b"<html>\n", b"[1]\n", b"3\n", b"\xff\n"])
def test_what_is_no_line_is_a_protocol_error_behind_what_came_before(data):
    for read in ("relay", "decode"):
        reader = LineReader()
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(data)
        reader = LineReader()
        assert getattr(reader, read)(text("a") + data)
        with pytest.raises(ProviderProtocolError):
            getattr(reader, read)(b"")


@pytest.mark.parametrize("message", [{"content": 3}, {"tool_calls": 3}, {"tool_calls": [3]}, {"images": {}}])
def test_messages_of_another_shape_are_a_protocol_error(message):
    with pytest.raises(ProviderProtocolError):
        decoded(line(message))


def test_a_line_of_two_megabytes():
    data = text("x" * 2_000_000)
    reader = LineReader()
    got = b"".join(reader.relay(data[place : place + 65536]) for place in range(0, len(data), 65536))
    assert got == data


@given(st.binary(max_size=60) | st.sampled_from([ANSWER[:50], end()]), st.integers(1, 9))
def test_no_input_raises_anything_else(data, size):
    for read in ("relay", "decode"):
        reader = LineReader()
        try:
            for place in range(0, len(data), size):
                getattr(reader, read)(data[place : place + size])
            reader.finish()
        except ProviderProtocolError:
            pass
