"""Probabilities of tokens: asked for and shown in the canonical types as OpenAI's chat has them.

A request says ``logprobs`` and ``top_logprobs`` in its ``extra``, an answer ``logprobs`` in the ``extra`` of a choice:
``{"content": [{"token", "logprob", "bytes", "top_logprobs"}], "refusal"}``. Sources: the API references of OpenAI ("The
chat completion object"; Responses, ``include`` and ``top_logprobs``), Gemini ("LogprobsResult") and Ollama ("Chat").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from llmgate.spec import ChatRequest

from .losses import INCLUDED_LOGPROBS

__all__ = ["LOGPROBS", "asked_logprobs", "choice_logprobs", "logprob_fields", "tokens_in"]

LOGPROBS: Final = "logprobs"
"""Where a choice has them."""

_TOP: Final = "top_logprobs"
_BY_NAME: Final = frozenset({"", "gemini-generate-content", "ollama-chat", "openai-chat"})
"""Formats whose requests ask by these names, as they are decoded."""


def asked_logprobs(request: ChatRequest) -> dict[str, Any]:
    """What a request asks for, by the names of OpenAI's chat; nothing where it does not ask."""
    extra = request.extra
    top = extra.get(_TOP)
    if request.extra_format in _BY_NAME:
        return {name: extra[name] for name in (LOGPROBS, _TOP) if extra.get(name) is not None}
    if request.extra_format != "openai-responses":
        return {}
    include = extra.get("include")
    if not top and not (isinstance(include, list) and INCLUDED_LOGPROBS in include):
        return {}
    return {LOGPROBS: True} if top is None else {LOGPROBS: True, _TOP: top}


def logprob_fields(request: ChatRequest) -> frozenset[str]:
    """The fields of a request's own that a format handles which has probabilities."""
    if not asked_logprobs(request):
        return frozenset()
    names = {LOGPROBS, _TOP}
    return frozenset(names | {"include"} if request.extra_format == "openai-responses" else names)


def choice_logprobs(value: Any) -> dict[str, Any]:
    """The ``extra`` of a choice with a list of tokens as OpenAI's Responses and Ollama have it; empty without any."""
    tokens = [_token(one) for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
    return {LOGPROBS: {"content": tokens, "refusal": None}} if tokens else {}


def tokens_in(extra: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The tokens of a choice, for formats that have them as a list."""
    value = extra.get(LOGPROBS)
    content = value.get("content") if isinstance(value, Mapping) else None
    return [one for one in content if isinstance(one, Mapping)] if isinstance(content, list) else ()


def _token(source: Mapping[str, Any]) -> dict[str, Any]:
    """A token with all that OpenAI's chat demands; its bytes are those of its text where nobody tells them."""
    top = source.get(_TOP)
    others = [one for one in top if isinstance(one, Mapping)] if isinstance(top, list) else []
    return {**_bare(source), _TOP: [_bare(one) for one in others]}


def _bare(source: Mapping[str, Any]) -> dict[str, Any]:
    text = source.get("token")
    text = text if isinstance(text, str) else ""
    told = source.get("bytes")
    return {
        "token": text,
        "logprob": source.get("logprob", 0.0),
        "bytes": told if isinstance(told, list) else list(text.encode("utf-8", "replace")),
    }
