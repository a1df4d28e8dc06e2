from __future__ import annotations

import json

import pytest

from llmgate.formats.openai_chat.requests import decode_request, encode_request, patch_request, peek
from llmgate.spec import (
    ChatRequest,
    InvalidRequestError,
    Message,
    OutputFormat,
    RequestHead,
    Role,
    Text,
    ToolChoice,
    ToolDefinition,
)
from llmgate.testing.corpus import chat_corpus

HELLO = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def body(**fields: object) -> bytes:
    return json.dumps({**HELLO, **fields}).encode()


def test_peek():
    assert peek(body()) == RequestHead("m")
    full = body(stream=True, stream_options={"include_usage": True}, user="u")
    assert peek(full) == RequestHead("m", stream=True, include_usage=True, user="u")
    assert peek(body(stream=None, stream_options=None, user=None)) == RequestHead("m")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({"model": ["m"]}, "model"),
        ({"stream": "true"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options"),
        ({"user": 1}, "user"),
    ],
)
def test_peek_names_the_field(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        peek(body(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b'{"model":"a","model":"b","messages":[]}', b'{"model":"a","mod\\u0065l":"b","messages":[]}'],
)
def test_peek_refuses_what_could_be_read_two_ways(data):
    with pytest.raises(InvalidRequestError, match="the request body is refused"):
        peek(data)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"n": "2"}, "n"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens"),
        ({"stop": 1}, "stop"),
        ({"stop": ["a", 1]}, "stop[1]"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"metadata": []}, "metadata"),
        ({"response_format": "json"}, "response_format"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ],
)
def test_decode_names_the_field(fields, param):
    with pytest.raises(InvalidRequestError) as caught:
        decode_request(body(**fields))
    assert caught.value.param == param


def test_nulls_say_nothing():
    nothing = dict.fromkeys(["temperature", "tools", "stop", "metadata", "response_format", "tool_choice", "user"])
    assert decode_request(body(**nothing)) == decode_request(body())


@pytest.mark.parametrize("name", chat_corpus())
def test_the_corpus_loses_nothing(name):
    """Wire to canonical to wire: every field that was there is there, with its value."""
    sent = json.loads(chat_corpus()[name])
    back = json.loads(encode_request(decode_request(chat_corpus()[name])))
    if isinstance(sent.get("stop"), str):
        sent["stop"] = [sent["stop"]]
    for one in (*sent["messages"], *back["messages"]):
        content = one.get("content")
        if isinstance(content, list) and len(content) == 1 and content[0]["type"] == "text":
            one["content"] = content[0]["text"]
    assert back == sent


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_goes_back_under_the_name_it_came_by(name):
    chat = decode_request(body(**{name: 5}))
    assert chat.max_output_tokens == 5
    assert json.loads(encode_request(chat)) == {**HELLO, name: 5}


def test_what_only_this_format_knows_is_kept():
    fields = {
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {}},
        "response_format": {"type": "grammar", "grammar": "g"},
        "logprobs": True,
    }
    chat = decode_request(body(**fields))
    assert chat.tool_choice is None
    assert chat.output_format is None
    assert chat.extra_format == "openai-chat"
    assert json.loads(encode_request(chat)) == {**HELLO, **fields}


def test_fields_of_another_format_are_not_written():
    chat = ChatRequest(
        "m", (Message(Role.USER, (Text("hi"),)),), extra={"thinking": {}}, extra_format="anthropic-messages"
    )
    assert json.loads(encode_request(chat)) == HELLO


def test_a_value_that_json_has_not_is_the_callers_mistake():
    with pytest.raises(InvalidRequestError):
        encode_request(ChatRequest("m", (), temperature=float("nan")))


RAW = b'{ "model":"m" ,"messages" : [],\n "temperature":1.0,"max_tokens": 9, "x":1.50 }'


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ({"model": "other"}, RAW.replace(b'"m"', b'"other"')),
        ({"max_output_tokens": 5}, RAW.replace(b" 9", b" 5")),
        ({"max_output_tokens": None}, RAW.replace(b',"max_tokens": 9', b"")),
        ({"temperature": None}, RAW.replace(b',\n "temperature":1.0', b"")),
        ({"temperature": 0.5}, RAW.replace(b"1.0", b"0.5")),
        ({"user": "u"}, RAW.replace(b"1.50 }", b'1.50,"user":"u" }')),
        ({"choice_count": 2}, RAW.replace(b"1.50 }", b'1.50,"n":2 }')),
        ({"stop_sequences": ("a",)}, RAW.replace(b"1.50 }", b'1.50,"stop":["a"] }')),
        ({"metadata": {"a": "b"}}, RAW.replace(b"1.50 }", b'1.50,"metadata":{"a":"b"} }')),
        ({"stream": True}, RAW.replace(b"1.50 }", b'1.50,"stream":true }')),
        ({"tool_choice": ToolChoice("named", "f")},
         RAW.replace(b"1.50 }", b'1.50,"tool_choice":{"type":"function","function":{"name":"f"}} }')),
        ({"tools": (ToolDefinition("f"),)},
         RAW.replace(b"1.50 }", b'1.50,"tools":[{"type":"function","function":{"name":"f"}}] }')),
        ({"output_format": OutputFormat("json")},
         RAW.replace(b"1.50 }", b'1.50,"response_format":{"type":"json_object"} }')),
        ({"messages": (Message(Role.USER, (Text("é"),)),)},
         RAW.replace(b"[]", '[{"role":"user","content":"é"}]'.encode())),
        ({"user": None, "stream": None, "tools": (), "include_usage": False}, RAW),
    ],
)  # fmt: skip
def test_edits_change_their_own_span_only(edits, expected):
    assert patch_request(RAW, edits) == expected


def test_no_edits_is_the_same_object():
    assert patch_request(RAW, {}) is RAW


def test_a_lowered_limit_cannot_be_got_round():
    """A body that bounds its output twice is bounded twice."""
    twice = body(max_tokens=10**6, max_completion_tokens=10)
    patched = json.loads(patch_request(twice, {"max_output_tokens": 5}))
    assert (patched["max_tokens"], patched["max_completion_tokens"]) == (5, 5)
    assert json.loads(patch_request(body(), {"max_output_tokens": 5}))["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("options", "edits", "expected"),
    [
        (None, {"include_usage": True}, {"include_usage": True}),
        (
            {"include_obfuscation": False},
            {"include_usage": True},
            {"include_obfuscation": False, "include_usage": True},
        ),
        ({"include_usage": False}, {"include_usage": True}, {"include_usage": True}),
        ({"include_usage": True}, {"include_usage": False}, None),
        ({"include_usage": True, "x": 1}, {"include_usage": None}, {"x": 1}),
        ({"include_usage": True}, {"stream": False}, None),
        ({"include_usage": True}, {"stream": True}, {"include_usage": True}),
    ],
)
def test_stream_options_are_merged(options, edits, expected):
    fields = {"stream": True} if options is None else {"stream": True, "stream_options": options}
    assert json.loads(patch_request(body(**fields), edits)).get("stream_options") == expected


def test_only_fields_of_a_request_can_be_edited():
    with pytest.raises(TypeError, match="extra"):
        patch_request(RAW, {"extra": {}})
    with pytest.raises(InvalidRequestError):
        patch_request(b"[]", {"model": "m"})
