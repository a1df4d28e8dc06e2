from __future__ import annotations

import pytest

from llmgate.formats import get_format
from llmgate.formats.ollama_chat.fitting import FIELDS, fitted
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
    ToolCallResponse,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
)

TOOLS = (ToolDefinition("a"), ToolDefinition("b"))


def asked(*parts, role=Role.USER, **fields) -> ChatRequest:
    messages = (Message(role, parts or (Text("hi"),)),)
    return ChatRequest("m", messages, extra_format="openai-chat", **fields)


def lost(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> dict[str, str]:
    return {one.param: one.kind for one in fitted(request, facts)[1].found}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"user": "u"}, {"user": "report"}),
        ({"metadata": {"a": "b"}}, {"metadata": "report"}),
        ({"service_tier": "flex"}, {"service_tier": "report"}),
        ({"parallel_tool_calls": False, "tools": TOOLS}, {"parallel_tool_calls": "report"}),
        ({"choice_count": 2}, {"choice_count": "refuse"}),
        ({"choice_count": 1}, {}),
        ({"extra": {"logprobs": True}}, {}),
        ({"extra": {"logit_bias": {"1": 1}}}, {"logit_bias": "report"}),
        ({"tools": (ToolDefinition("a", strict=True),)}, {"tools.strict": "report"}),
        ({"tools": (ToolDefinition("web", extra={"type": "web_search"}),)}, {"tools": "refuse"}),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "adjust"}),
        ({"reasoning_effort": "high"}, {}),
    ],
)
def test_what_is_lost_is_told(fields, found):
    assert lost(asked(**fields)) == found


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ((FileRef("image", "f"),), "refuse"),
        ((Uri("image", "https://x/y.png"),), "refuse"),
        ((Blob("video", "video/mp4", "QUJD"),), "refuse"),
        ((Blob("document", "application/pdf", "QUJD"),), "refuse"),
        ((Unknown("openai-chat", {}),), "refuse"),
        ((ToolCallResponse("c", (Uri("image", "https://x"),)),), "refuse"),
        ((Blob("document", "text/plain", "QUJD"),), None),
        ((Blob("audio", "audio/wav", "QUJD"),), None),
    ],
)
def test_what_cannot_be_carried_is_refused(parts, kind):
    assert list(lost(asked(*parts)).values()) == ([kind] if kind else [])
    if kind:
        with pytest.raises(InvalidRequestError):
            get_format("ollama-chat").encode_request(asked(*parts))


def test_what_another_vendor_thought_and_did_is_left_out():
    parts = (Reasoning("a", "sig"), Unknown("anthropic-messages", {}), Text("b"))
    request, losses = fitted(asked(*parts, role=Role.ASSISTANT), UNKNOWN_MODEL)
    assert request.messages[0].parts == (Text("b"),)
    assert {one.param: one.kind for one in losses.found} == {
        "messages.thinking": "report",
        "messages.content": "report",
    }


@pytest.mark.parametrize(
    ("choice", "left", "found"),
    [
        (ToolChoice("auto"), "ab", {}),
        (ToolChoice("none"), "", {}),
        (ToolChoice("required"), "ab", {"tool_choice": "adjust"}),
        (ToolChoice("named", "b"), "b", {"tool_choice": "adjust"}),
    ],
)
def test_a_choice_of_tools_is_said_by_what_is_declared(choice, left, found):
    request, losses = fitted(asked(tools=TOOLS, tool_choice=choice), UNKNOWN_MODEL)
    assert "".join(tool.name for tool in request.tools) == left
    assert {one.param: one.kind for one in losses.found} == found


def test_a_model_that_does_not_think_is_not_asked_to():
    plain = ModelFacts(thinking="none")
    assert lost(asked(reasoning_effort="high"), plain) == {"reasoning_effort": "report"}
    assert lost(asked(reasoning_effort="none"), plain) == {}
    assert fitted(asked(reasoning_effort="none"), plain)[0].reasoning_effort is None


def test_its_own_requests_are_left_as_they_are():
    request = ChatRequest("m", (), user="u", extra_format="ollama-chat")
    assert fitted(request, UNKNOWN_MODEL)[0] is request
    assert "user" not in FIELDS
