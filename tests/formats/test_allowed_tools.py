from __future__ import annotations

import pytest

from llmgate.formats.allowed_tools import allowed_tools, narrowed
from llmgate.spec import ChatRequest, ToolChoice, ToolDefinition

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
