from __future__ import annotations

import pytest

from llmgate.formats import get_format
from llmgate.formats.cohere_chat.fitting import fitted
from llmgate.spec import (
    UNKNOWN_MODEL,
    Blob,
    ChatRequest,
    FileRef,
    InvalidRequestError,
    Message,
    ModelFacts,
    Reasoning,
    Role,
    Text,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
)

TOOLS = (ToolDefinition("a"), ToolDefinition("b"))


def asked(*parts, role=Role.USER, **fields) -> ChatRequest:
    return ChatRequest("m", (Message(role, parts or (Text("hi"),)),), extra_format="openai-chat", **fields)


def lost(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> dict[str, str]:
    return {one.param: one.kind for one in fitted(request, facts)[1].found}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"user": "u", "metadata": {"a": "b"}}, {"user": "report", "metadata": "report"}),
        ({"service_tier": "flex"}, {"service_tier": "report"}),
        ({"parallel_tool_calls": False, "tools": TOOLS}, {"parallel_tool_calls": "report"}),
        ({"choice_count": 2}, {"choice_count": "refuse"}),
        ({"extra": {"logprobs": True}}, {"logprobs": "refuse"}),
        ({"temperature": 1.5}, {"temperature": "adjust"}),
        ({"top_p": 1}, {}),
        ({"top_p": 0}, {"top_p": "adjust"}),
        ({"top_k": 501}, {"top_k": "adjust"}),
        (
            {"frequency_penalty": -1, "presence_penalty": 2},
            {"frequency_penalty": "adjust", "presence_penalty": "adjust"},
        ),
        ({"stop_sequences": tuple("abcdef")}, {"stop_sequences": "adjust"}),
        ({"tools": (ToolDefinition("a", strict=True), ToolDefinition("b"))}, {"tools.strict": "adjust"}),
        ({"tools": (ToolDefinition("web", extra={"type": "web_search"}),)}, {"tools": "refuse"}),
        ({"reasoning_effort": "high"}, {}),
    ],
)
def test_what_is_lost_is_told(fields, found):
    assert lost(asked(**fields)) == found


def test_what_is_out_of_range_is_brought_into_it():
    request = fitted(
        asked(temperature=2, top_p=1, top_k=900, presence_penalty=-2, stop_sequences=tuple("abcdef")), UNKNOWN_MODEL
    )[0]
    assert (request.temperature, request.top_p, request.top_k, request.presence_penalty) == (1, None, 500, 0)
    assert len(request.stop_sequences) == 5


@pytest.mark.parametrize(
    ("part", "refused"),
    [
        (FileRef("image", "f"), True),
        (Uri("image", "gs://x/y"), True),
        (Uri("document", "https://x/y.pdf"), True),
        (Blob("document", "application/pdf", "QUJD"), True),
        (Blob("audio", "audio/wav", "QUJD"), True),
        (Unknown("openai-chat", {}), True),
        (Uri("image", "https://x/y.png"), False),
        (Blob("image", "image/png", "QUJD"), False),
        (Blob("document", "text/plain", "QUJD"), False),
    ],
)
def test_what_cannot_be_carried_is_refused(part, refused):
    assert list(lost(asked(part)).values()) == (["refuse"] if refused else [])
    if refused:
        with pytest.raises(InvalidRequestError):
            get_format("cohere-chat").encode_request(asked(part))


def test_what_another_vendor_thought_and_did_is_left_out():
    parts = (Reasoning("a", "sig"), Unknown("anthropic-messages", {}), Text("b"))
    request, losses = fitted(asked(*parts, role=Role.ASSISTANT), UNKNOWN_MODEL)
    assert request.messages[0].parts == (Text("b"),)
    assert {one.param for one in losses.found} == {"messages.thinking", "messages.content"}


@pytest.mark.parametrize(
    ("choice", "left", "mode"),
    [("auto", "ab", None), ("none", "ab", "none"), ("required", "ab", "required"), ("named", "b", "named")],
)
def test_choices_of_tools(choice, left, mode):
    request, losses = fitted(asked(tools=TOOLS, tool_choice=ToolChoice(choice, "b")), UNKNOWN_MODEL)
    assert "".join(tool.name for tool in request.tools) == left
    assert (request.tool_choice and request.tool_choice.mode, losses.found) == (mode, ())


def test_facts_of_the_model():
    facts = ModelFacts(thinking="none", forced_tools=False, max_output=100)
    request = asked(reasoning_effort="high", tools=TOOLS, tool_choice=ToolChoice("required"), max_output_tokens=200)
    assert lost(request, facts) == {
        "tool_choice": "adjust",
        "max_output_tokens": "adjust",
        "reasoning_effort": "report",
    }
    assert fitted(request, facts)[0].max_output_tokens == 100
    assert lost(asked(reasoning_effort="none"), facts) == {}


def test_its_own_requests_are_left_as_they_are():
    request = ChatRequest("m", (), user="u", extra_format="cohere-chat")
    assert fitted(request, UNKNOWN_MODEL)[0] is request
