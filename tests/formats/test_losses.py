from __future__ import annotations

import pytest

from llmgate.formats.losses import Losses, leave_out, with_parts
from llmgate.spec import ChatRequest, InvalidRequestError, Message, Role, Text


def test_each_thing_is_named_once_and_a_refusal_outweighs():
    losses = Losses()
    losses.report("a")
    losses.adjust("a")
    losses.report("b")
    assert [(one.param, one.kind) for one in losses.found] == [("a", "report"), ("b", "report")]
    losses.check()
    losses.refuse("a", "not that")
    with pytest.raises(InvalidRequestError, match="not that") as failure:
        losses.check()
    assert failure.value.param == "a"


def test_fields_that_are_not_carried_are_left_out_and_named():
    losses = Losses()
    request = ChatRequest("m", (), seed=1, temperature=0.5, user="u", metadata={"a": "b"}, choice_count=1)
    left = leave_out(request, {"temperature"}, (), losses)
    assert left == ChatRequest("m", (), temperature=0.5)
    assert {one.param: one.kind for one in losses.found} == {"seed": "report", "user": "report", "metadata": "report"}


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ({"logprobs": True, "x": 1, "handled": 1}, {"logprobs": "refuse", "x": "report"}),
        ({"logprobs": False, "x": None, "y": [], "z": {}, "w": ""}, {}),
        ({"modalities": ["text"], "function_call": "auto"}, {}),
    ],
)
def test_fields_of_another_formats_own(extra, found):
    losses = Losses()
    request = ChatRequest("m", (), extra=extra)
    assert leave_out(request, (), {"handled"}, losses) is request
    assert {one.param: one.kind for one in losses.found} == found


def test_a_choice_that_the_field_carries_is_left_alone():
    request = ChatRequest("m", (), choice_count=3)
    losses = Losses()
    assert leave_out(request, {"choice_count"}, (), losses) is request
    assert losses.found == ()


def test_a_message_whose_parts_are_its_own_is_the_same():
    message = Message(Role.USER, (Text("a"), Text("b")))
    assert with_parts(message, list(message.parts)) is message
    assert with_parts(message, message.parts[:1]).text == "a"
