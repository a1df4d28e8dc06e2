from __future__ import annotations

import pytest

from llmgate.formats.allowed_tools import narrowed
from llmgate.spec import ChatRequest, ToolChoice, ToolDefinition

TOOLS = (ToolDefinition("f"), ToolDefinition("g"), ToolDefinition("h"))


def request(mode, *names):
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice, "other": 1})


@pytest.mark.parametrize(("mode", "choice"), [("auto", "auto"), ("required", "required")])
def test_only_the_tools_that_may_be_called_are_declared(mode, choice):
    kept = narrowed(request(mode, "g", "f"))
    assert [tool.name for tool in kept.tools] == ["f", "g"]
    assert kept.tool_choice == ToolChoice(choice)
    assert kept.extra == {"other": 1}


def test_names_that_nobody_declared_leave_all():
    assert narrowed(request("auto", "x")).tools == TOOLS


@pytest.mark.parametrize("choice", [None, "auto", {"type": "custom"}, {"type": "allowed_tools", "allowed_tools": 1}])
def test_other_choices_change_nothing(choice):
    asked = ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice})
    assert narrowed(asked) is asked


def test_what_is_no_tool_does_no_harm():
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [1, {"function": 1}, {}]}}
    assert narrowed(ChatRequest("m", (), tools=TOOLS, extra={"tool_choice": choice})).tools == TOOLS
