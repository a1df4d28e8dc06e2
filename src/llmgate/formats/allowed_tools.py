"""A choice of a few among the tools, for formats without one: only these are declared.

OpenAI's two formats write it differently.

Source: OpenAI API reference, ``tool_choice`` of type ``allowed_tools``, of "Create chat completion" and of "Create a
model response".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.spec import ChatRequest, ToolChoice

__all__ = ["allowed_tools", "narrowed"]


def allowed_tools(extra: Mapping[str, Any]) -> tuple[ToolChoice, frozenset[str]] | None:
    """The choice and the names of the tools allowed; None where the request makes no such choice.

    Args:
        extra: The request's fields that have no canonical counterpart.
    """
    match extra.get("tool_choice"):
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}:
            named = [one.get("function") for one in tools if isinstance(one, dict)]
        case {"type": "allowed_tools", "mode": mode, "tools": [*tools]}:
            named = tools
        case _:
            return None
    names = frozenset(str(one.get("name")) for one in named if isinstance(one, dict))
    return ToolChoice("required" if mode == "required" else "auto"), names


def narrowed(request: ChatRequest) -> ChatRequest:
    """The request with only the tools that are allowed, all of them where none is known; the same without a choice."""
    allowed = allowed_tools(request.extra)
    if allowed is None:
        return request
    choice, names = allowed
    kept = tuple(tool for tool in request.tools if tool.name in names) or request.tools
    rest = {name: value for name, value in request.extra.items() if name != "tool_choice"}
    return attrs.evolve(request, tools=kept, tool_choice=choice, extra=rest)
