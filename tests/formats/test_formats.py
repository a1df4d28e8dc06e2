from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from llmgate.formats import FORMATS, get_format, read_request
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatChoice,
    ChatResponse,
    ChoiceDelta,
    FinishReason,
    Format,
    GatewayChunk,
    InvalidRequestError,
    Message,
    Operation,
    RequestHead,
    Role,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from llmgate.testing.corpus import chat_corpus

CHATS = [name for name in FORMATS if get_format(name).operation is Operation.CHAT]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_what_it_is_called(name):
    wire_format = get_format(name)
    assert isinstance(wire_format, Format)
    assert wire_format.name == name
    assert get_format(name) is wire_format


def test_an_unknown_format_is_a_key_error():
    with pytest.raises(KeyError):
        get_format("morse")


def test_a_request_is_decoded_when_somebody_reads_it():
    body = chat_corpus()["full"]
    request = read_request(get_format("openai-chat"), body, headers={"authorization": "Bearer x", "cookie": "y"})
    assert request.body is body
    assert (request.model, request.stream, request.include_usage) == ("gpt-4o-mini", True, True)
    assert request.headers == {}
    assert request.chat is request.chat
    assert request.edited(temperature=0.1).chat.temperature == 0.1


def test_a_body_that_is_no_request_is_refused():
    with pytest.raises(InvalidRequestError):
        read_request(get_format("openai-chat"), b"{}")


def test_edits_are_patched_into_a_body_that_has_been_read_without_reading_it_anew(monkeypatch):
    wire_format = get_format("openai-chat")
    body = b'{"model": "m", "messages": [], "stream": true, "unknown": [1]}'
    request = read_request(wire_format, body)
    again = read_request(wire_format, body)
    monkeypatch.setattr("llmgate.formats.bodies.top", None)
    edits = {"model": "other", "include_usage": True}
    patch = request.edited(temperature=1).take_patch()
    assert patch is not None
    assert patch(edits, UNKNOWN_MODEL) == (
        b'{"model": "other", "messages": [], "stream": true, "unknown": [1],"stream_options":{"include_usage":true}}'
    )
    assert request.take_patch() is None, "what has been read of the body is not kept"
    assert attrs.evolve(again, body=b'{"model": "another"}').take_patch() is None, "it belongs to one body only"
    monkeypatch.undo()
    assert wire_format.patch_request(body, edits) == patch(edits, UNKNOWN_MODEL)


class Addressed(type(get_format("openai-chat"))):
    """OpenAI's chat as it would be if its addresses said the model and whether to stream."""

    name = "addressed"
    addressed = True

    def peek(self, body: bytes) -> RequestHead:
        return RequestHead("")


def test_an_address_says_the_model_and_whether_to_stream():
    body = b'{"model": "of the body", "messages": []}'
    request = read_request(Addressed(), body, model="m", stream=True)
    assert (request.model, request.stream, request.include_usage) == ("m", True, True)
    assert (request.chat.model, request.chat.stream, request.chat.include_usage) == ("m", True, True)
    whole = read_request(Addressed(), body, model="m")
    assert (whole.model, whole.stream, whole.chat.stream) == ("m", False, False)


CARRIED = json.loads((Path(__file__).parent / "carried_fields.json").read_text(encoding="utf-8"))
"""What each format was known to carry; written by hand, so that it does not follow the code by itself."""


def said_by(name: str) -> set[str]:
    wire_format = get_format(name)
    ends = {f"finish_reason.{reason}" for reason in wire_format.ends}
    return {*wire_format.fields, *ends, *(["stop_sequence"] if wire_format.stop_text else [])}


def ended(reason: FinishReason, stop_sequence: str | None = None) -> ChatResponse:
    parts = (Text("a"), *([ToolCall("call_1", "f", "{}")] if reason is FinishReason.TOOL_CALLS else []))
    choice = ChatChoice(0, Message(Role.ASSISTANT, parts), reason, stop_sequence=stop_sequence)
    return ChatResponse("i", "m", (choice,), Usage(1, 2), created=1)


def through_stream(name: str, response: ChatResponse) -> ChoiceDelta:
    """The end of an answer that was written as a stream and read again."""
    (choice,), wire_format = response.choices, get_format(name)
    calls = [part for part in choice.message.parts if isinstance(part, ToolCall)]
    said = ChoiceDelta(
        role="assistant",
        parts=(Text("a"),),
        tool_calls=tuple(ToolCallDelta(i, one.id, one.name, one.arguments) for i, one in enumerate(calls)),
    )
    end = ChoiceDelta(finish_reason=choice.finish_reason, stop_sequence=choice.stop_sequence)
    encoder, reader = wire_format.stream_encoder(), wire_format.stream_reader()
    head = GatewayChunk(id="i", model="m", created=1)
    chunks = [attrs.evolve(head, choices=(one,)) for one in (said, end)]
    data = b"".join(map(encoder.encode, [*chunks, GatewayChunk(usage=response.usage), GatewayChunk(final=True)]))
    ends = [one for chunk in reader.decode(data) for one in chunk.choices if one.finish_reason is not None]
    reader.finish()
    assert reader.outcome.finish_reason is ends[-1].finish_reason
    return ends[-1]


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("reason", FinishReason)
def test_the_declared_ends_of_answers_are_those_that_survive(name, reason):
    """In whole answers and in streams; any other is a plain end, and never one that the answer did not have."""
    wire_format = get_format(name)
    read = wire_format.decode_response(wire_format.encode_response(ended(reason))).first
    assert read.finish_reason is (reason if reason in wire_format.ends else FinishReason.STOP)
    assert (
        wire_format.observe_response(wire_format.encode_response(ended(FinishReason.LENGTH))).finish_reason == "length"
    )
    if reason is not FinishReason.ERROR:  # a stream that failed ends with an error event
        assert through_stream(name, ended(reason)).finish_reason is read.finish_reason


@pytest.mark.parametrize("name", CHATS)
@pytest.mark.parametrize("text", ["END", "\n\n", "é\u2028\r\n", '"'])
def test_the_text_that_ended_an_answer_survives_where_that_is_declared(name, text):
    wire_format = get_format(name)
    said = ended(FinishReason.STOP_SEQUENCE, text)
    read = wire_format.decode_response(wire_format.encode_response(said)).first
    told = wire_format.stop_text or FinishReason.STOP_SEQUENCE in wire_format.ends
    wanted = (FinishReason.STOP_SEQUENCE if told else FinishReason.STOP, text if wire_format.stop_text else None)
    assert (read.finish_reason, read.stop_sequence) == wanted
    end = through_stream(name, said)
    assert (end.finish_reason, end.stop_sequence) == wanted


@pytest.mark.parametrize("name", sorted({*CARRIED, *(name for name in FORMATS if get_format(name).fields)}))
def test_a_field_that_a_format_no_longer_carries_is_noticed(name):
    now = said_by(name) if name in FORMATS else set()
    lost = sorted(set(CARRIED.get(name, ())) - now)
    new = sorted(now - set(CARRIED.get(name, ())))
    assert not lost, (
        f"{name} no longer carries {', '.join(lost)}: requests that have them will be refused, or lose them; "
        "put it back, or take it out of carried_fields.json too and write changelog.d/<slug>.removed.md"
    )
    assert not new, (
        f"{name} now carries {', '.join(new)}: add them to carried_fields.json, so that their loss is noticed"
    )
