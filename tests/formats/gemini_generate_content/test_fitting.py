from __future__ import annotations

import attrs
import pytest

from llmgate.catalogue import facts_of
from llmgate.formats.gemini_generate_content.fitting import FIELDS, fitted
from llmgate.spec import (
    UNKNOWN_MODEL,
    Blob,
    ChatRequest,
    FileRef,
    Message,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    ToolChoice,
    ToolDefinition,
    Unknown,
    Uri,
)

NEW, OLD = facts_of("gemini-3.8-flash"), facts_of("gemini-2.5-pro")
TOOLS = (ToolDefinition("f"),)


def asked(*parts, role=Role.USER, extra_format="openai-chat", **fields):
    messages = (Message(role, parts or (Text("q"),)),)
    return ChatRequest("m", messages, extra_format=extra_format, **fields)


def lost(request, facts=UNKNOWN_MODEL):
    return {one.param: one.kind for one in fitted(request, facts)[1].found}


def test_a_request_of_this_format_is_left_alone():
    for extra_format in ("", "gemini-generate-content"):
        request = asked(extra_format=extra_format, user="u", stop_sequences=tuple("abcdefg"))
        assert fitted(request, NEW)[0] is request


def test_every_name_is_a_field():
    assert FIELDS.keys() <= {field.name for field in attrs.fields(ChatRequest)}


@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        ({"user": "u", "metadata": {"a": "b"}}, UNKNOWN_MODEL, {"user": "report", "metadata": "report"}),
        ({"parallel_tool_calls": False, "tools": TOOLS}, UNKNOWN_MODEL, {"parallel_tool_calls": "report"}),
        ({"parallel_tool_calls": False}, UNKNOWN_MODEL, {}),
        ({"stop_sequences": tuple("abcdef")}, UNKNOWN_MODEL, {"stop_sequences": "adjust"}),
        ({"temperature": 0.1, "top_k": 4}, NEW, {"temperature": "report", "top_k": "report"}),
        ({"presence_penalty": 0.1}, NEW, {"presence_penalty": "report"}),
        ({"presence_penalty": 0.1, "temperature": 0.1}, OLD, {}),
        ({"max_output_tokens": 10**6}, OLD, {"max_output_tokens": "adjust"}),
        ({"choice_count": 9}, UNKNOWN_MODEL, {"choice_count": "refuse"}),
        ({"reasoning_effort": "none"}, OLD, {"reasoning_effort": "adjust"}),
        ({"reasoning_effort": "max"}, NEW, {"reasoning_effort": "adjust"}),
        ({"reasoning_effort": "high"}, NEW, {}),
        ({"reasoning_effort": "high"}, facts_of("gemini-2.0-flash"), {"reasoning_effort": "report"}),
        ({"service_tier": "scale"}, UNKNOWN_MODEL, {"service_tier": "report"}),
        ({"service_tier": "auto"}, UNKNOWN_MODEL, {}),
        ({"extra": {"logprobs": True, "top_logprobs": 2, "max_tokens": 1}}, UNKNOWN_MODEL, {}),
        ({"extra": {"modalities": ["audio"]}}, UNKNOWN_MODEL, {"modalities": "refuse"}),
        ({"extra": {"logit_bias": {"1": 2}}}, UNKNOWN_MODEL, {"logit_bias": "report"}),
        ({"tools": (ToolDefinition("w", extra={"type": "web_search"}),)}, UNKNOWN_MODEL, {"tools": "refuse"}),
        ({"tools": TOOLS, "output_format": OutputFormat("json")}, OLD, {"output_format": "refuse"}),
        ({"tools": TOOLS, "output_format": OutputFormat("json")}, NEW, {}),
    ],
)
def test_what_becomes_of_fields(fields, facts, expected):
    assert lost(asked(**fields), facts) == expected


@pytest.mark.parametrize(
    ("part", "role", "expected"),
    [
        (Reasoning("t"), Role.ASSISTANT, {"messages.reasoning": "report"}),
        (Reasoning("t", "sig"), Role.ASSISTANT, {"messages.thinking": "report"}),
        (Unknown("other", {}), Role.ASSISTANT, {"messages.content": "report"}),
        (Unknown("other", {}), Role.USER, {"messages[0]": "refuse"}),
        (FileRef("image", "file-1"), Role.USER, {"messages[0]": "refuse"}),
        (Uri("image", "ftp://x/y.png"), Role.USER, {"messages[0]": "refuse"}),
        (Text("a", extra={"cache_control": {"type": "ephemeral"}}), Role.USER, {"cache_control": "report"}),
        (Blob("video", "video/mp4", "AAAA"), Role.USER, {}),
    ],
)
def test_what_becomes_of_parts(part, role, expected):
    assert lost(asked(part, role=role)) == expected


def test_media_types_are_put_right():
    request, _ = fitted(
        asked(Blob("image", "image/jpg", "AAAA"), Uri("image", "https://x/a.PNG?b=c"), Uri("image", "https://x/a")), NEW
    )
    assert [part.media_type for part in request.messages[0].parts] == ["image/jpeg", "image/png", None]


def test_values_are_said_in_googles_words():
    request, _ = fitted(asked(service_tier="default", tool_choice=ToolChoice("auto"), stop_sequences=("", "x")), NEW)
    assert (request.service_tier, request.tool_choice, request.stop_sequences) == ("standard", None, ("x",))
