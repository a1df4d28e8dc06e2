from __future__ import annotations

from typing import Any

import pytest

from llmgate.spec import Format, InvalidRequestError, ModelNotFoundError, RequestHead


class Plain(Format):
    """A format that says nothing of its own."""

    name = "plain"
    request_headers = frozenset({"x-one"})
    request_header_prefixes = ("plain-",)
    response_headers = frozenset({"x-two"})
    response_header_prefixes = ("limit-", "quota-")


def made(format_class: type[Format]) -> Format:
    """An instance, whatever is left abstract."""
    concrete: Any = type("Concrete", (format_class,), dict.fromkeys(format_class.__abstractmethods__))
    wire_format: Format = concrete()
    return wire_format


@pytest.mark.parametrize(
    ("header", "up", "down"),
    [
        ("x-one", True, False),
        ("x-two", False, True),
        ("plain-beta", True, False),
        ("limit-requests", False, True),
        ("quota-left", False, True),
        ("x-plain-beta", False, False),
        ("authorization", False, False),
        ("cookie", False, False),
        ("", False, False),
    ],
)
def test_headers_pass_by_name_or_by_the_beginning_of_it(header: str, up: bool, down: bool) -> None:
    wire_format = made(Plain)
    assert (wire_format.allows_up(header), wire_format.allows_down(header)) == (up, down)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "set-cookie", "openai-organization", ""])
def test_a_format_that_lists_nothing_lets_nothing_through(header: str) -> None:
    silent = made(type("Silent", (Format,), {"name": "silent"}))
    assert not silent.allows_up(header)
    assert not silent.allows_down(header)


def test_an_error_has_its_own_status_unless_a_format_says_otherwise() -> None:
    assert made(Plain).error_status(ModelNotFoundError("no")) == 404
    assert made(Plain).error_status(InvalidRequestError("no")) == 400


def test_two_heads_are_alike_whatever_would_patch_them() -> None:
    assert RequestHead("m", patch=lambda edits: b"") == RequestHead("m")
    assert "patch" not in repr(RequestHead("m", patch=lambda edits: b""))


def test_an_address_holds_the_model_as_one_segment():
    address = made(Plain).address
    assert address("/chat", model="a/b", stream=True) == "/chat"
    assert address("/models/{model}:do", model="a/b c?d", stream=False) == "/models/a%2Fb%20c%3Fd:do"


@pytest.mark.parametrize("model", ["", ".", "..", "a\nb"])
def test_a_model_that_would_lead_to_another_place_is_refused(model):
    with pytest.raises(InvalidRequestError, match="cannot be part of an address"):
        made(Plain).address("/models/{model}", model=model, stream=False)
