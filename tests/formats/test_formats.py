from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from llmgate.formats import FORMATS, get_format, read_request
from llmgate.spec import UNKNOWN_MODEL, Format, InvalidRequestError, RequestHead
from llmgate.testing.corpus import chat_corpus


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


@pytest.mark.parametrize("name", sorted({*CARRIED, *(name for name in FORMATS if get_format(name).fields)}))
def test_a_field_that_a_format_no_longer_carries_is_noticed(name):
    now = set(get_format(name).fields) if name in FORMATS else set()
    lost = sorted(set(CARRIED.get(name, ())) - now)
    new = sorted(now - set(CARRIED.get(name, ())))
    assert not lost, (
        f"{name} no longer carries {', '.join(lost)}: requests that have them will be refused, or lose them; "
        "put it back, or take it out of carried_fields.json too and write changelog.d/<slug>.removed.md"
    )
    assert not new, (
        f"{name} now carries {', '.join(new)}: add them to carried_fields.json, so that their loss is noticed"
    )
