"""What a request needs of a model, and which of its candidates are known not to have it.

Only where candidates differ is anything looked at, and a body is decoded only where a word in it says that there may be
something to find. What nobody knows of a model never speaks against it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from llmgate.formats.anthropic_count_tokens.estimate import estimate_input
from llmgate.spec import (
    Blob,
    ChatRequest,
    Deployment,
    FileRef,
    GatewayRequest,
    InvalidRequestError,
    ModelFacts,
    Operation,
    Part,
    ToolCallResponse,
    Uri,
)

__all__ = ["capable", "fits"]

_SURE: Final = 0.8
"""The share of the estimated input that there is at least: it comes out up to a fifth too high."""


_LONG: Final = frozenset({"max_output_tokens", "messages", "tools"})
"""Fields that say how long a request and its answer are."""


_LONGEST_ANSWER: Final = 65_536
"""Tokens that hardly any request asks more of; where so much is left, its bound is not looked for."""


@attrs.frozen(eq=False)
class _Ability:
    """Something that a request may need and a model may lack.

    Args:
        what: What its lack is called: "reads images".
        lacks: Whether a model is known not to have it.
        field: The field of a request that needs it.
        signs: One of them is in the body of each request that needs it, whatever its wire format.
        needed: Whether a request needs it.
        vital: Whether it fails without it; else it is served by whoever there is.
    """

    what: str
    lacks: Callable[[ModelFacts], bool]
    field: str
    signs: tuple[bytes, ...]
    needed: Callable[[ChatRequest], bool]
    vital: bool = True


def _has_image(parts: Sequence[Part]) -> bool:
    return any(
        (isinstance(one, Blob | Uri | FileRef) and one.modality == "image")
        or (isinstance(one, ToolCallResponse) and _has_image(one.content))
        for one in parts
    )


_ABILITIES: Final = (
    _Ability(
        "reads images",
        lambda facts: facts.vision is False,
        "messages",
        (b"image",),
        lambda chat: any(_has_image(message.parts) for message in chat.messages),
    ),
    _Ability(
        "calls tools",
        lambda facts: facts.tools is False,
        "tools",
        (b"tool", b"function"),
        lambda chat: bool(chat.tools or chat.extra.get("functions")),
    ),
    _Ability(
        "can be held to a JSON Schema",
        lambda facts: facts.structured_output is False,
        "output_format",
        (b"chema",),
        lambda chat: chat.output_format is not None and chat.output_format.type == "json_schema",
        vital=False,
    ),
    _Ability(
        "reasons",
        lambda facts: facts.thinking == "none",
        "reasoning_effort",
        (b"effort",),
        lambda chat: chat.reasoning_effort not in {None, "none"},
        vital=False,
    ),
)


def capable(request: GatewayRequest, deployments: Sequence[Deployment]) -> Sequence[Deployment]:
    """The deployments less those whose model is known to be unable to serve a request.

    Args:
        request: What is asked, with every edit.
        deployments: Two or more.

    Raises:
        InvalidRequestError: none is left; the message says what each of them lacks.
    """
    first = deployments[0].facts
    for one in deployments:
        if one.facts is not first:
            break
    else:
        return deployments
    if request.operation is not Operation.CHAT:
        return deployments
    if request.decode is None or request.relay is not None or all(one.facts == first for one in deployments):
        return deployments
    lacking: list[str] = []
    for ability in dict.fromkeys(lack for one in deployments for lack in _lacks(one.facts)):
        kept = [one for one in deployments if not ability.lacks(one.facts)]
        if (kept or ability.vital) and _asks(request, ability):
            deployments = kept
            lacking.append(ability.what)
            if not kept:
                raise InvalidRequestError(
                    f"no deployment of model {request.model[:200]!r} {' and '.join(lacking)}, as the request needs it: "
                    "ask for another model, or leave that out",
                    param="model",
                    code="capability_missing",
                )
    return _wide_enough(request, deployments, lacking)


def fits(request: GatewayRequest, facts: ModelFacts) -> bool:
    """Whether a request may fit into the context window of a model, as far as is known."""
    window = facts.context_window
    if window is None or request.operation is not Operation.CHAT or request.decode is None:
        return True
    chat = _read(request)
    return chat is None or _least(chat) <= window


@functools.lru_cache(maxsize=1024)
def _lacks(facts: ModelFacts) -> Sequence[_Ability]:
    """What a model is known not to have."""
    return [ability for ability in _ABILITIES if ability.lacks(facts)]


def _asks(request: GatewayRequest, ability: _Ability) -> bool:
    if ability.field not in request.edits and not any(sign in request.body for sign in ability.signs):
        return False
    chat = _read(request)
    return chat is not None and ability.needed(chat)


def _wide_enough(
    request: GatewayRequest, deployments: Sequence[Deployment], lacking: Sequence[str]
) -> Sequence[Deployment]:
    """Those whose context window is not known to be too small."""
    windows = [one.facts.context_window for one in deployments if one.facts.context_window is not None]
    if not windows or not _may_be_long(request, min(windows)):
        return deployments
    chat = _read(request)
    if chat is None:
        return deployments
    least = _least(chat)
    kept = [one for one in deployments if one.facts.context_window is None or least <= one.facts.context_window]
    if kept:
        return kept
    also = f" that {' and '.join(lacking)}" if lacking else ""
    raise InvalidRequestError(
        f"the request takes more than {least} tokens with its answer, and no deployment of model "
        f"{request.model[:200]!r}{also} takes more than {max(windows)}: shorten it, or ask for a larger model",
        param="messages",
        code="context_length_exceeded",
    )


def _may_be_long(request: GatewayRequest, window: int) -> bool:
    """Whether a request is worth being measured: no token is shorter than a byte, and few answers are long."""
    size, body = len(request.body), request.body
    if size > window or not _LONG.isdisjoint(request.edits):
        return True
    return size + _LONGEST_ANSWER > window and (b"max" in body or b"predict" in body)


def _least(chat: ChatRequest) -> int:
    """The tokens that a request takes at least: its input, and the answer that it leaves room for."""
    return int(_SURE * estimate_input(chat)) + (chat.max_output_tokens or 0)


def _read(request: GatewayRequest) -> ChatRequest | None:
    """The canonical request; None where it is none, which its provider will say."""
    try:
        return request.chat
    except InvalidRequestError:
        return None
