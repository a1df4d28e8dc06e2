"""What a request is kept together by."""

from __future__ import annotations

import json
from typing import NoReturn

import attrs
import pytest
from llmgate_sticky.config import StickyConfig
from llmgate_sticky.keys import key_of

from llmgate.formats import get_format, read_request
from llmgate.spec import ExchangeView, GatewayRequest, Operation, Principal
from llmgate.testing.samples import sample_exchange, sample_request

FORMAT = get_format("openai-chat")


def view(request: GatewayRequest, principal: Principal | None = None) -> ExchangeView:
    exchange = sample_exchange(request)
    exchange.principal = principal or exchange.principal
    return ExchangeView(exchange)


def body(**fields: str) -> GatewayRequest:
    members = "".join(f',"{name}":"{value}"' for name, value in fields.items())
    return read_request(FORMAT, f'{{"model":"m","messages":[]{members}}}'.encode())


def test_by_user_is_the_requests_own_field() -> None:
    assert key_of(view(body(user="ann")), "user") == "ann"
    assert key_of(view(body(user="")), "user") is None
    assert key_of(view(body()), "user") is None


@pytest.mark.parametrize(("by", "header"), [("user", "helicone-user-id"), ("session", "helicone-session-id")])
def test_a_header_names_the_user_or_the_session_first(by: str, header: str) -> None:
    exchange = sample_exchange(
        attrs.evolve(body(user="ann"), metadata={"session": "s1"}), client_headers={header: "bob"}
    )
    assert key_of(ExchangeView(exchange), by) == "bob"
    exchange.client_headers = {header: ""}
    assert key_of(ExchangeView(exchange), by) == {"user": "ann", "session": "s1"}[by]


def test_by_user_sees_what_an_interceptor_has_written() -> None:
    assert key_of(view(body(user="ann").edited(user="bob")), "user") == "bob"
    assert key_of(view(body(user="ann").edited(user=None)), "user") is None


def test_by_user_decodes_no_body() -> None:
    def decode(_: bytes) -> NoReturn:
        raise AssertionError("the top level of the body is enough")

    assert key_of(view(attrs.evolve(body(user="ann"), decode=decode)), "user") == "ann"


def test_a_body_that_names_nobody_has_no_key() -> None:
    assert key_of(view(attrs.evolve(body(), body=b"\xff")), "user") is None
    assert key_of(view(attrs.evolve(body(), format="no-such-format")), "user") is None


def test_by_principal_is_who_has_logged_in_and_where() -> None:
    keys = {
        key_of(view(sample_request(), Principal(id=name, issuer=issuer)), "principal")
        for name in ("ann", "bob")
        for issuer in ("keys", "sso")
    }
    assert len(keys) == 4


def turn(*messages: tuple[str, str], mark: bool = False) -> GatewayRequest:
    written: list[dict[str, object]] = [{"role": role, "content": text} for role, text in messages]
    if mark:
        written[-1]["cache_control"] = {"type": "ephemeral"}
    return read_request(FORMAT, json.dumps({"model": "m", "messages": written}).encode())


SYSTEM, ASKED = ("system", "be brief"), ("user", "hello")


def test_by_prefix_is_the_same_in_every_turn_of_a_conversation() -> None:
    first = key_of(view(turn(SYSTEM, ASKED, mark=True)), "prefix")
    later = key_of(view(turn(SYSTEM, ASKED, ("assistant", "hi"), ("user", "and now?"), mark=True)), "prefix")
    assert first is not None
    assert first == later


def test_by_prefix_tells_conversations_apart() -> None:
    conversations = [
        (SYSTEM, ASKED),
        (("system", "be long"), ASKED),
        (SYSTEM, ("user", "good day")),
        (ASKED,),
        (("developer", "be brief"), ASKED),
        (("system", "be"), ("system", " brief"), ASKED),
    ]
    assert len({key_of(view(turn(*one)), "prefix") for one in conversations}) == len(conversations)


def test_what_has_no_beginning_has_no_key_by_prefix() -> None:
    assert key_of(view(turn()), "prefix") is None
    assert key_of(view(turn(("user", ""))), "prefix") is None
    assert key_of(view(attrs.evolve(body(), body=b"{}")), "prefix") is None
    assert key_of(view(attrs.evolve(body(), operation=Operation.EMBEDDINGS, decode=None)), "prefix") is None


def test_by_anything_else_is_a_label() -> None:
    request = attrs.evolve(body(user="ann"), metadata={"session": "s1", "empty": ""})
    assert key_of(view(request), "session") == "s1"
    assert key_of(view(request), "empty") is None
    assert key_of(view(request), "other") is None


@pytest.mark.parametrize("by", ["", " "])
def test_a_key_without_a_name_is_refused(by: str) -> None:
    with pytest.raises(ValueError, match="write user, principal"):
        StickyConfig(by=by)


@pytest.mark.parametrize("release", [-1.0, float("inf"), float("nan")])
def test_a_time_that_is_none_is_refused(release: float) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        StickyConfig(release=release)
