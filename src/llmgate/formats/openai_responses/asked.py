"""What an answer repeats of its request: this format's answers say what was asked, and calls are in the caller's kinds.

Source: OpenAI API reference, "The response object".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, top
from llmgate.formats.fields import ShapeError
from llmgate.spec import GatewayRequest

from .calls import Toolbox
from .parts import FORMAT
from .tools import decode_tools

__all__ = ["Asked"]

_REPEATED: Final[Mapping[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "auto",
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""The fields that an answer repeats, and what it says of those that the request left out."""


class Asked:
    """A request as its answer sees it; nothing is read before it is wanted.

    Args:
        request: The request; None where there is none, or where it came in another format.
    """

    def __init__(self, request: GatewayRequest | None = None) -> None:
        self._request = request if request is not None and request.format == FORMAT else None

    @functools.cached_property
    def fields(self) -> Mapping[str, Any]:
        """Every field that an answer repeats. Nothing is kept here, so that ``store`` is false."""
        source = self._source
        given = {name: source[name] for name in _REPEATED if source.get(name) is not None}
        fields = {**_REPEATED, **given, "store": False}
        for name in ("text", "reasoning"):
            if isinstance(given.get(name), dict):
                fields[name] = {**_REPEATED[name], **given[name]}
        return fields

    @functools.cached_property
    def toolbox(self) -> Toolbox:
        """The tools of the request."""
        tools = self._source.get("tools")
        try:
            return Toolbox(decode_tools(tools, "tools") if tools else ())
        except ShapeError:  # whoever has answered did not mind
            return Toolbox()

    @functools.cached_property
    def _source(self) -> Mapping[str, Any]:
        if self._request is None:
            return {}
        try:
            return top(self._request.body).values()
        except JSONError:
            return {}
