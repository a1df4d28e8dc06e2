"""What a translation for this format reports, adjusts and refuses."""

from __future__ import annotations

import json

import pytest

from llmgate.catalogue import facts_of
from llmgate.formats import get_format
from llmgate.spec import ChatRequest, Message, Role, Text

MESSAGES, CHAT = get_format("anthropic-messages"), get_format("openai-chat")


def lost(model: str = "claude-sonnet-4-5", **fields) -> dict[str, str]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "q"}], **fields}).encode()
    return {one.param: one.kind for one in MESSAGES.unsupported(CHAT.decode_request(body), facts_of(model))}


@pytest.mark.parametrize(
    ("model", "fields", "found"),
    [
        ("claude-sonnet-4-5", {"temperature": 1, "max_tokens": 9, "stop": "a", "n": 1, "logprobs": False}, {}),
        ("claude-sonnet-4-5", {"seed": 1, "store": True}, {"seed": "report", "store": "report"}),
        ("claude-sonnet-4-5", {"store": False, "logit_bias": {}, "modalities": ["text"], "verbosity": "medium"}, {}),
        ("claude-sonnet-4-5", {"temperature": 1.2}, {"temperature": "adjust"}),
        ("claude-sonnet-4-5", {"temperature": 1, "top_p": 0.5}, {"top_p": "report"}),
        ("claude-sonnet-4-5", {"max_tokens": 99_999}, {"max_output_tokens": "adjust"}),
        ("claude-opus-5", {"temperature": 0.5}, {"temperature": "report"}),
        ("claude-opus-5", {"reasoning_effort": "minimal"}, {"reasoning_effort": "adjust"}),
        ("claude-opus-5-5", {"reasoning_effort": "none"}, {"reasoning_effort": "adjust"}),
        ("claude-sonnet-4-5", {"reasoning_effort": "high", "max_tokens": 9}, {"reasoning_effort": "report"}),
        ("claude-sonnet-4-5", {"user": "+49 170 1234567"}, {"user": "report"}),
        ("claude-sonnet-4-5", {"user": "user_1f2e"}, {}),
        ("claude-sonnet-4-5", {"service_tier": "flex"}, {"service_tier": "report"}),
        ("claude-sonnet-4-5", {"stop": [" "]}, {"stop_sequences": "report"}),
        ("claude-sonnet-4-5", {"response_format": {"type": "json_object"}}, {"output_format": "adjust"}),
        ("claude-sonnet-4-5", {"response_format": {"type": "text"}}, {}),
        ("claude-sonnet-4-5", {"n": 2, "logprobs": True}, {"choice_count": "refuse", "logprobs": "refuse"}),
        ("claude-sonnet-4-5", {"never_heard": 1}, {"never_heard": "report"}),
        (
            "claude-sonnet-4-5",
            {"messages": [{"role": "user", "name": "ada", "content": "q"}]},
            {"messages.name": "report"},
        ),
        (
            "claude-sonnet-4-5",
            {"messages": [{"role": "assistant", "content": "a", "reasoning_content": "hm"}]},
            {"messages.reasoning": "report"},
        ),
    ],
)
def test_what_is_lost(model, fields, found):
    assert lost(model, **fields) == found


def test_nothing_is_lost_of_a_request_in_this_format():
    request = MESSAGES.decode_request(b'{"model":"m","messages":[],"seed":3,"never_heard":1}')
    assert MESSAGES.unsupported(request) == ()
    assert json.loads(MESSAGES.encode_request(request))["never_heard"] == 1


def test_a_reason_is_given_for_every_refusal():
    request = ChatRequest("m", (Message(Role.USER, (Text("q"),)),), choice_count=2, extra_format="openai-chat")
    (one,) = MESSAGES.unsupported(request)
    assert one.reason
    assert one.reason[0].islower()
