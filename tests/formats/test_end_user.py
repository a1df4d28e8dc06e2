"""Who a request is for: the body's own word, and what stages have made of it."""

from __future__ import annotations

from typing import NoReturn

import attrs
import pytest

from llmgate.formats import get_format, read_request
from llmgate.formats.end_user import end_user_of
from llmgate.spec import GatewayRequest


def asked(wire_format: str, body: bytes) -> GatewayRequest:
    return read_request(get_format(wire_format), body)


CHAT = asked("openai-chat", b'{"model":"m","messages":[],"user":"ann"}')


@pytest.mark.parametrize(
    ("wire_format", "body"),
    [
        ("openai-chat", b'{"model":"m","messages":[],"user":"ann"}'),
        ("openai-responses", b'{"model":"m","input":"hi","user":"ann"}'),
        ("anthropic-messages", b'{"model":"m","max_tokens":1,"messages":[],"metadata":{"user_id":"ann"}}'),
    ],
)
def test_each_format_has_its_own_word(wire_format: str, body: bytes) -> None:
    assert end_user_of(asked(wire_format, body)) == "ann"


def test_an_edit_wins() -> None:
    assert end_user_of(CHAT.edited(user="bob")) == "bob"
    assert end_user_of(CHAT.edited(user=None)) is None
    assert end_user_of(CHAT.edited(user="")) is None


def test_no_body_is_decoded() -> None:
    def decode(_: bytes) -> NoReturn:
        raise AssertionError("the top level of the body is enough")

    assert end_user_of(attrs.evolve(CHAT, decode=decode)) == "ann"


@pytest.mark.parametrize("change", [{"body": b"\xff"}, {"body": b"{}"}, {"format": "no-such-format"}])
def test_nobody_is_named(change: dict[str, object]) -> None:
    assert end_user_of(attrs.evolve(CHAT, **change)) is None
