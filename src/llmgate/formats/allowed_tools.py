"""A choice of a few among the tools, which OpenAI and Gemini have: for formats without it, only those are declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.spec import ChatRequest, ToolChoice

__all__ = ["narrowed"]


def narrowed(request: ChatRequest) -> ChatRequest:
    """The request with the tools that may be called and no others; the same request where all of them may.

    Args:
        request: Its ``extra`` may hold a ``tool_choice`` of OpenAI's type ``allowed_tools``. Where that names no tool
            of the request, all of them stay.
    """
    match request.extra.get("tool_choice"):
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}:
            names = {_name(one) for one in tools}
        case _:
            return request
    kept = tuple(tool for tool in request.tools if tool.name in names)
    return attrs.evolve(
        request,
        tools=kept or request.tools,
        tool_choice=ToolChoice("required" if mode == "required" else "auto"),
        extra={name: value for name, value in request.extra.items() if name != "tool_choice"},
    )


def _name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    return name if isinstance(name, str) else None
