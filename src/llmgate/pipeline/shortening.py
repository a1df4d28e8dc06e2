"""Conversations made to fit a context window, for callers who ask for it: ``Helicone-Token-Limit-Exception-Handler``.

Instructions, calls of tools and media stay as they are; what is taken away is text. The input is estimated, so that
less is kept than would fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from llmgate.formats.anthropic_count_tokens.estimate import estimate_input, estimate_text
from llmgate.spec import (
    Deployment,
    GatewayRequest,
    InvalidRequestError,
    Message,
    Operation,
    Part,
    Role,
    Text,
    ToolCallResponse,
)

from .wishes import Shortening

if TYPE_CHECKING:
    from .frame import ExchangeFrame

__all__ = ["shortened"]

_GAP: Final = "\n[...]\n"
"""What stands where text was taken away."""

_USED: Final = 0.9
"""The share of the window that is filled at most, since the input is estimated."""

_ANSWER: Final = 16
"""The part of the window, one in so many, that is kept for an answer without a bound."""

_INSTRUCTIONS: Final = frozenset({Role.SYSTEM, Role.DEVELOPER})
_BLANKS: Final = re.compile(r"[ \t]{2,}")
_LINES: Final = re.compile(r"\s*\n\s*\n\s*")


def shortened(
    frame: ExchangeFrame, request: GatewayRequest, deployments: Sequence[Deployment], how: Shortening | None
) -> GatewayRequest:
    """The request, its text cut down where it is too long for all of its candidates; itself where it is not.

    The caller is told by the header ``llmgate-shortened``, the record by its metadata.

    Args:
        frame: The exchange.
        request: What is asked, with every edit.
        deployments: Where it may go; the largest window that is known counts.
        how: ``truncate`` leaves the oldest text out, ``middle-out`` what is between the beginning and the end; nothing
            is left out where the caller does not say.
    """
    windows = [one.facts.context_window for one in deployments if one.facts.context_window is not None]
    if (
        how is None
        or how == "fallback"
        or not windows
        or request.operation is not Operation.CHAT
        or request.relay is not None
    ):
        return request
    try:
        chat = request.chat
    except InvalidRequestError:
        return request
    window = max(windows)
    room = int(_USED * (window - (chat.max_output_tokens or window // _ANSWER)))
    before = estimate_input(chat)
    if before <= room:
        return request
    messages = _normalised(chat.messages) if how == "truncate" else list(chat.messages)
    lengths = {place: estimate_text(text) for place, text in _texts(messages)}
    fixed = estimate_input(attrs.evolve(chat, messages=messages)) - sum(lengths.values())
    left = room - fixed
    if left <= 0:
        return request  # there is not text enough in it: its provider will say so
    kept = _newest(messages, lengths, left) if how == "truncate" else _both_ends(messages, lengths, left)
    cut = request.edited(messages=_rebuilt(messages, kept))
    notes = frame.exchange.notes("llmgate")
    notes.setdefault("headers", {})["llmgate-shortened"] = how
    notes["metadata"] = {"shortened": f"{how}, from about {before} to {estimate_input(cut.chat)} tokens"}
    frame.exchange.request = cut
    return cut


_Place = tuple[int, int, int]
"""Where a text stands: message, part, and part of a tool's answer (-1 for none)."""


def _texts(messages: Sequence[Message]) -> Iterator[tuple[_Place, str]]:
    """The texts that may be cut, oldest first."""
    for number, message in enumerate(messages):
        if message.role in _INSTRUCTIONS:
            continue
        for place, part in enumerate(message.parts):
            if isinstance(part, Text):
                yield (number, place, -1), part.text
            elif isinstance(part, ToolCallResponse):
                for inner, piece in enumerate(part.content):
                    if isinstance(piece, Text):
                        yield (number, place, inner), piece.text


def _normalised(messages: Sequence[Message]) -> list[Message]:
    """The messages with runs of blanks and of empty lines made one."""
    tidy = {place: _LINES.sub("\n\n", _BLANKS.sub(" ", text)) for place, text in _texts(messages)}
    return _rebuilt(messages, tidy)


def _newest(messages: Sequence[Message], lengths: Mapping[_Place, float], left: float) -> Mapping[_Place, str]:
    """The newest texts that fit; the oldest of them loses its beginning."""
    kept: dict[_Place, str] = {}
    for place, text in reversed(list(_texts(messages))):
        if lengths[place] <= left:
            kept[place] = text
        elif left > estimate_text(_GAP):
            kept[place] = _GAP + text[len(text) - _fitting(text, left - estimate_text(_GAP), from_end=True) :]
        left -= min(left, lengths[place])
        if left <= 0:
            break
    return kept


def _both_ends(messages: Sequence[Message], lengths: Mapping[_Place, float], left: float) -> Mapping[_Place, str]:
    """The first and the last texts, half of the room each; what is between them is left out."""
    texts = list(_texts(messages))
    kept: dict[_Place, str] = {}
    half = (left - estimate_text(_GAP)) / 2
    first = last = half
    for place, text in texts:
        if first <= 0:
            break
        whole = lengths[place] <= first
        kept[place] = text if whole else text[: _fitting(text, first)] + _GAP
        first -= min(first, lengths[place]) if whole else first
    for place, text in reversed(texts):
        if last <= 0:
            break
        whole = lengths[place] <= last
        end = text if whole else text[len(text) - _fitting(text, last, from_end=True) :]
        kept[place] = end if whole else kept.get(place, _GAP) + end
        last -= min(last, lengths[place]) if whole else last
    return kept


def _fitting(text: str, tokens: float, *, from_end: bool = False) -> int:
    """How many characters of a text come to so many tokens."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        part = text[len(text) - middle :] if from_end else text[:middle]
        low, high = (middle, high) if estimate_text(part) <= tokens else (low, middle - 1)
    return low


def _rebuilt(messages: Sequence[Message], kept: Mapping[_Place, str]) -> list[Message]:
    """The messages with the texts that are kept; those that only had others are left out, but for the last."""
    found: list[Message] = []
    for number, message in enumerate(messages):
        if message.role in _INSTRUCTIONS:
            found.append(message)
            continue
        parts = [_part(part, (number, place), kept) for place, part in enumerate(message.parts)]
        left = [part for part in parts if part is not None]
        if left or not message.parts:
            found.append(attrs.evolve(message, parts=left))
    return found


def _part(part: Part, place: tuple[int, int], kept: Mapping[_Place, str]) -> Part | None:
    if isinstance(part, Text):
        text = kept.get((*place, -1), "")
        return attrs.evolve(part, text=text) if text else None
    if not isinstance(part, ToolCallResponse):
        return part
    content = [
        attrs.evolve(one, text=kept.get((*place, inner)) or _GAP.strip()) if isinstance(one, Text) else one
        for inner, one in enumerate(part.content)
    ]
    return attrs.evolve(part, content=content)
