"""Marks in a prompt up to which it is cached: Anthropic's and Bedrock's on one side, OpenAI's breakpoints on the other.

Sources: Anthropic API reference, "Prompt caching" (``cache_control``); OpenAI API reference, content parts
(``prompt_cache_breakpoint``, from gpt-5.6 on). Anthropic keeps a prompt for 5 minutes or an hour, OpenAI for 30 minutes
or 12 hours at least.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.formats.fields import rest
from llmgate.spec import Blob, ChatRequest, FileRef, Message, ModelFacts, Part, Role, Text, Uri

from .inner_losses import CACHE_MARK

__all__ = ["BREAKPOINT", "breakpoint_of", "breakpoints", "with_breakpoints", "with_marks"]

BREAKPOINT: Final = "prompt_cache_breakpoint"
"""How OpenAI's formats call a mark."""

_MOST: Final = 4
_MARKED: Final = (Text, Blob, Uri, FileRef)
_SPOKEN: Final = frozenset({Role.SYSTEM, Role.DEVELOPER, Role.USER})
"""Who says what OpenAI's formats can mark."""


def breakpoints(request: ChatRequest, facts: ModelFacts) -> tuple[str, ...]:
    """What OpenAI's formats have a place for inside messages to a model: breakpoints, where it knows them."""
    return (BREAKPOINT,) if facts.cache_breakpoints or request.extra_format.startswith("openai") else ()


def breakpoint_of(part: Part) -> dict[str, Any]:
    """The member of a part that marks it, for formats of OpenAI's; empty for one that is not marked."""
    mark = getattr(part, "extra", {}).get(BREAKPOINT)
    return {BREAKPOINT: dict(mark)} if isinstance(mark, Mapping) else {}


def with_marks(messages: Sequence[Message], adjusted: Callable[[str], None]) -> Sequence[Message]:
    """Messages of OpenAI's with Anthropic's marks; the very same where nothing is marked.

    Args:
        messages: The conversation.
        adjusted: Is told where a prompt is not kept as long as is asked.
    """

    def marked(part: Part) -> Part:
        point = breakpoint_of(part).get(BREAKPOINT)
        if point is None or not isinstance(part, _MARKED):
            return part
        if point.get("ttl") == "12h":
            adjusted(f"messages.{BREAKPOINT}")
        mark = {"type": "ephemeral", **({"ttl": "1h"} if point.get("ttl") else {})}
        return attrs.evolve(part, extra={CACHE_MARK: mark, **rest(part.extra, frozenset({BREAKPOINT}))})

    return _changed(messages, BREAKPOINT, marked)


def with_breakpoints(messages: Sequence[Message], adjusted: Callable[[str], None]) -> Sequence[Message]:
    """Messages with OpenAI's breakpoints in the place of Anthropic's marks, as far as there is room for them.

    Args:
        messages: The conversation.
        adjusted: Is told where a prompt is not kept as long as is asked.
    """
    left = _MOST

    def marked(part: Part) -> Part:
        nonlocal left
        mark = getattr(part, "extra", {}).get(CACHE_MARK)
        if not isinstance(mark, Mapping) or not isinstance(part, _MARKED) or not left:
            return part
        left -= 1
        if mark.get("ttl") == "1h":
            adjusted(CACHE_MARK)
        return attrs.evolve(part, extra={**rest(part.extra, frozenset({CACHE_MARK})), BREAKPOINT: {"mode": "explicit"}})

    return _changed(messages, CACHE_MARK, marked, _SPOKEN)


def _changed(
    messages: Sequence[Message], name: str, change: Callable[[Part], Part], roles: Collection[Role] = frozenset(Role)
) -> Sequence[Message]:
    if not any(name in getattr(part, "extra", ()) for message in messages for part in message.parts):
        return messages
    return tuple(
        _with(message, map(change, message.parts)) if message.role in roles else message for message in messages
    )


def _with(message: Message, parts: Iterable[Part]) -> Message:
    return attrs.evolve(message, parts=tuple(parts))
