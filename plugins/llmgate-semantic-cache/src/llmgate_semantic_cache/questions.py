"""What is compared by meaning, the last words of the user, and what must be the same: all the rest of the request."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.codecs import jsons
from llmgate.formats import get_format
from llmgate.spec import ExchangeView, GatewayRequest, Role, Text

__all__ = ["Question", "read_question"]

_LITERALS: Final = re.compile(
    r"\d+(?:[.,:/-]\d+)*|\"[^\"]*\"|'[^']{2,}'|`[^`]*`|\b(?:no|not|never|without|none|except|un\w{4,}|\w+n't)\b",
    re.IGNORECASE,
)
"""What changes the meaning of a sentence without moving its embedding far: figures, quotations, denials."""
_BLANK: Final = "\x00question\x00"
_VERSION: Final = "llmgate-semantic-cache/1"
_OF_ONE_CALL: Final = frozenset({"idempotency-key", "x-client-request-id", "x-amzn-trace-id"})
_LEADING: Final = ("helicone-", "llmgate-")
_LABELS: Final = ("helicone-property-", "helicone-session-", "helicone-request-id", "llmgate-semantic-cache-")


@attrs.frozen
class Question:
    """A question, and the partition in which it may be answered.

    Args:
        text: The last words of the user.
        partition: The name of all that must be the same, a SHA-256: who asks, of what, under which instructions, after
            which conversation, with which tools and sampling.
        literals: The figures, quotations and denials in it, in order.
    """

    text: str = attrs.field(repr=False)
    partition: str
    literals: Sequence[str] = attrs.field(repr=False)


def read_question(
    exchange: ExchangeView, request: GatewayRequest, scope: Sequence[str], *, tools: bool, longest: int
) -> Question | None:
    """The question of a request; None where there is none that could be compared.

    Args:
        exchange: The exchange.
        request: What is asked.
        scope: Who shares answers with the caller.
        tools: Whether requests that offer tools are looked at.
        longest: Characters above which a question is not looked at.
    """
    chat = request.chat
    if (chat.tools and not tools) or not chat.messages:
        return None
    last = chat.messages[-1]
    if last.role is not Role.USER or len(last.parts) != 1 or not isinstance(last.parts[0], Text):
        return None
    text = last.parts[0].text
    rest = _without(request, text)
    if rest is None or not text.strip() or len(text) > longest:
        return None
    named = [
        _VERSION,
        list(scope),
        exchange.router,
        request.format,
        request.model,
        request.stream,
        request.include_usage,
        sorted((name, value) for name, value in request.headers.items() if name not in _OF_ONE_CALL),
        _leading(exchange.client_headers),
        rest,
    ]
    partition = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
    return Question(text, partition, tuple(one.lower() for one in _LITERALS.findall(text)))


def _leading(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What tells the gateway how to answer; what only labels a request is left out."""
    return sorted(
        (name, value) for name, value in headers.items() if name.startswith(_LEADING) and not name.startswith(_LABELS)
    )


def _without(request: GatewayRequest, text: str) -> Any:
    """The body with a blank in the place of the question; None where that is not found once, at its end."""
    body = request.body
    if request.edits:
        body = get_format(request.format).patch_request(body, request.edits)
    try:
        value = jsons.loads(body)
    except jsons.JSONError:
        return None
    value = copy.deepcopy(value)
    return value if _blanked(value, text) else None


def _blanked(value: Any, text: str) -> bool:
    """Put the blank in the place of the last text that is the question."""
    places: list[tuple[Any, Any]] = []
    for key in ("messages", "input", "contents"):
        if isinstance(value, dict) and key in value:
            if isinstance(value[key], str):
                places = [(value, key)]
            elif isinstance(value[key], list) and value[key]:
                places = list(_texts(value[key][-1]))
    found = [(holder, key) for holder, key in places if holder[key] == text]
    if len(found) != 1:
        return False
    holder, key = found[0]
    holder[key] = _BLANK
    return True


def _texts(value: Any) -> Any:
    """Every place of a text below a message, but its role and the kinds of its parts."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if isinstance(inner, str):
            if key not in ("role", "type"):
                yield value, key
        else:
            yield from _texts(inner)
