from __future__ import annotations

import json

import pytest

from llmgate.formats import get_format
from llmgate.formats.allowed_tools import allowed_tools, narrowed
from llmgate.spec import ChatRequest, Message, Role, Text, ToolChoice, ToolDefinition

CHAT = {
    "type": "allowed_tools",
    "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "a"}}]},
}
FLAT = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]}
TOOLS = (ToolDefinition("a"), ToolDefinition("b"))


@pytest.mark.parametrize("choice", [CHAT, FLAT])
def test_both_ways_of_writing_are_read(choice):
    assert allowed_tools({"tool_choice": choice}) == (ToolChoice("required"), frozenset({"a"}))
    request = narrowed(ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice}))
    assert (request.tools, request.tool_choice) == (TOOLS[:1], ToolChoice("required"))


def test_names_that_nobody_knows_leave_all_tools():
    choice = {**FLAT, "mode": "auto", "tools": [{"type": "function", "name": "z"}, 1]}
    request = narrowed(ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice}))
    assert (request.tools, request.tool_choice) == (TOOLS, ToolChoice("auto"))


@pytest.mark.parametrize("choice", [None, "auto", {"type": "mcp"}, {"type": "allowed_tools"}])
def test_other_choices_are_none_of_it(choice):
    request = ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice})
    assert allowed_tools(request.extra) is None
    assert narrowed(request) is request


def test_what_has_been_obeyed_is_not_there_any_more():
    request = ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": FLAT, "other": 1})
    assert narrowed(request).extra == {"other": 1}


@pytest.mark.parametrize("choice", [CHAT, FLAT], ids=["chat", "responses"])
@pytest.mark.parametrize(
    "name",
    ["anthropic-messages", "bedrock-converse", "cohere-chat", "gemini-generate-content", "ollama-chat", "openai-chat"],
)
def test_formats_without_such_a_choice_declare_the_allowed_tools_only(name, choice):
    source = "openai-responses" if choice is FLAT or name == "openai-chat" else "openai-chat"
    said = Message(Role.USER, (Text("Hi"),))
    request = ChatRequest("m", (said,), tools=TOOLS, extra={"tool_choice": choice}, extra_format=source)
    lost = [(one.param, one.kind) for one in get_format(name).unsupported(request)]
    assert lost == ([("tool_choice", "adjust")] if name == "ollama-chat" else [])
    body = json.loads(get_format(name).encode_request(request))
    declared = json.dumps(body.get("tools") or body.get("toolConfig"))
    assert ('"a"' in declared, '"b"' in declared) == (True, False)
