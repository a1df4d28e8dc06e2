"""A request is read once, when somebody asks, and changed by recorded edits alone."""

from __future__ import annotations

import pytest

from llmgate.spec import ChatRequest, GatewayRequest, Message, Operation, Role, Text


def request_with(decoded: list[bytes]) -> GatewayRequest:
    def decode(body: bytes) -> ChatRequest:
        decoded.append(body)
        return ChatRequest("asked", [Message(Role.USER, [Text(body.decode())])], temperature=0.5)

    return GatewayRequest(Operation.CHAT, "openai-chat", b"body", "asked", stream=False, decode=decode)


def test_the_body_is_decoded_when_first_read_and_only_then():
    decoded: list[bytes] = []
    request = request_with(decoded)
    assert decoded == []
    assert request.chat is request.chat
    assert decoded == [b"body"]


def test_an_edit_shows_in_the_copy_and_leaves_body_and_original_alone():
    request = request_with([])
    assert request.chat.temperature == 0.5
    changed = request.edited(temperature=None, model="other").edited(max_output_tokens=9)
    assert (changed.chat.temperature, changed.chat.model, changed.chat.max_output_tokens) == (None, "other", 9)
    assert (changed.model, changed.body) == ("other", b"body")
    assert (request.chat.temperature, request.model, request.edits) == (0.5, "asked", {})


def test_an_edit_of_what_is_no_field_is_refused_by_name():
    with pytest.raises(TypeError, match="tempreature"):
        request_with([]).edited(tempreature=1)


def test_labels_add_up():
    request = request_with([]).labelled(team="a").labelled(team="b", cost="1")
    assert request.metadata == {"team": "b", "cost": "1"}


def test_bodies_and_headers_do_not_show_in_a_repr():
    request = GatewayRequest(Operation.CHAT, "openai-chat", b"private", "m", stream=False, headers={"x": "private"})
    assert "private" not in repr(request)
