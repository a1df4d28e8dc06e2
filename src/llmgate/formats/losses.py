"""What one wire format says and another cannot: the one policy for all translations, so that nothing is lost silently.

What has no effect on the meaning is left out and reported; what is only out of range is brought into it and reported;
a promise that could not be kept, or an input that could not be carried, refuses the request.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from llmgate.spec import (
    ChatRequest,
    Citation,
    InvalidRequestError,
    Message,
    Part,
    Text,
    ToolDefinition,
    Unsupported,
)

from .cache_marks import BREAKPOINT, with_breakpoints, with_marks
from .citations import kept_citations
from .inner_losses import CACHE_MARK, audio_kept_elsewhere, inner_losses
from .part_proofs import put_back
from .plain_blocks import with_plain_blocks
from .repeated_calls import told_apart

__all__ = [
    "BESIDE",
    "INCLUDED_LOGPROBS",
    "SINGLE_CALLS",
    "UNSAID_CITATIONS",
    "Losses",
    "fit_messages",
    "leave_out",
    "with_parts",
]

INCLUDED_LOGPROBS: Final = "message.output_text.logprobs"
"""How Responses ask for the probabilities of tokens, among what is to be included."""

SINGLE_CALLS: Final = "legacy_function"
"""In the ``extra`` of tools, calls and results that came as functions: their caller takes one call an answer."""

UNSAID_CITATIONS: Final = "answer.citations"
"""How it is told that a client's format has no words for what stands behind those of the answer."""

_REFUSED: Final = frozenset(
    {
        "audio",
        "documents",
        "cachedContent",
        "background",
        "conversation",
        "function_call",
        "functions",
        "guardrailConfig",
        "logprobs",
        "modalities",
        "prefill",
        "previous_response_id",
        "promptVariables",
        "prompt",
        "response_format",
        "tool_choice",
        "top_logprobs",
        "web_search_options",
    }
)
"""Fields of some format's own that promise something in the answer, or change what is asked."""

BESIDE: Final = frozenset({"generationConfig.schema", "generationConfig.thinkingConfig"})
"""What a format keeps of a canonical field as it came, to write it back so; to others the field says all of it."""

_REPEATED: Final[Mapping[str, str]] = {"cohere-chat": "thinking", "ollama-chat": "think"}
"""Where a format keeps what ``reasoning_effort`` says as it came, by a name that means something else to others."""

_HARMLESS: Final[Mapping[str, Collection[Any]]] = {
    "function_call": ("auto", "none"),
    "include": (["reasoning.encrypted_content"],),
    "modalities": (["text"],),
    "reasoning": ({"summary": "auto"}, {"summary": "concise"}, {"summary": "detailed"}),
    "service_tier": ("auto",),
    "text": ({"verbosity": "medium"},),
    "truncation": ("disabled",),
    "verbosity": ("medium",),
}
"""Values that ask for no more than leaving the field out."""

_ASKED_EMPTY: Final = frozenset({"web_search_options"})
"""Fields that ask for something by being there, empty or not."""

_GENERATION: Final = "generationConfig"

_INCLUDED: Final = frozenset({INCLUDED_LOGPROBS, "reasoning.encrypted_content"})
"""What formats with probabilities make of an ``include``, and what asks for nothing of theirs."""

_WHOLE: Final = (
    "only the provider that made it has it: send the whole conversation instead, or choose a model of that one"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "background": "the provider does not answer in the background: ask for a stream instead",
    "conversation": f"conversation names what is kept elsewhere, and {_WHOLE}",
    "previous_response_id": f"previous_response_id names an answer, and {_WHOLE}",
    "prompt": "prompt names a template that only OpenAI has: write instructions and input instead",
}
_DISPENSABLE: Final = ("image_generation", "tool_search", "web_search")
"""How the kinds of OpenAI's own tools begin without which a model that has the caller's own tools can do its work."""


class Losses:
    """Gathers what a format cannot write, each thing once."""

    def __init__(self) -> None:
        self._found: dict[str, Unsupported] = {}

    @property
    def found(self) -> tuple[Unsupported, ...]:
        """Everything gathered so far."""
        return tuple(self._found.values())

    def report(self, param: str) -> None:
        """It is left out."""
        self._found.setdefault(param, Unsupported(param, "report"))

    def adjust(self, param: str) -> None:
        """The nearest that can be said is said."""
        self._found.setdefault(param, Unsupported(param, "adjust"))

    def refuse(self, param: str, reason: str) -> None:
        """It cannot be left out."""
        self._found[param] = Unsupported(param, "refuse", reason)

    def check(self) -> None:
        """Refuse what must be refused.

        Raises:
            InvalidRequestError: naming the first such thing.
        """
        for one in self._found.values():
            if one.kind == "refuse":
                raise InvalidRequestError(one.reason, param=one.param, code="unsupported_parameter")


def leave_out(
    request: ChatRequest,
    carried: Collection[str],
    handled: Collection[str],
    losses: Losses,
    inside: Collection[str] = (),
    cites: Callable[[Citation], bool] | None = None,
) -> ChatRequest:
    """The request without the fields that a format does not carry, and with calls that can be told apart.

    Args:
        request: A request that came in another format.
        carried: The canonical fields that the format carries.
        handled: Names in ``extra`` that the format finds a counterpart for.
        losses: Where the others are noted.
        inside: What the format has a place for inside messages and tools.
        cites: Whether it takes back a source behind an earlier answer; None where it takes none.
    """
    before = request.messages
    if request.extra_format.startswith("openai"):
        marked = with_marks(before, losses.adjust) if CACHE_MARK in inside else before
    else:
        marked = with_breakpoints(before, losses.adjust) if BREAKPOINT in inside else before
    if marked is not before:
        request = attrs.evolve(request, messages=marked)
    for name in inner_losses(request, inside):
        losses.report(name)
    for index, message in enumerate(request.messages):
        if message.extra and audio_kept_elsewhere(message):
            path = f"messages[{index}]"
            losses.refuse(path, f"{path} names sound that another vendor keeps: send its transcript as content")
    changes = _without_fields(request, carried, losses)
    if request.max_output_tokens == 0:  # Anthropic fills its cache so; elsewhere an answer has a token at least
        losses.adjust("max_output_tokens")
        changes["max_output_tokens"] = 1
    kept = _kept_extra(request, handled, losses)
    if len(kept) < len(request.extra):
        changes["extra"] = kept
    tools = tuple(_indispensable(request, losses))
    if len(tools) < len(request.tools):
        changes["tools"] = tools
    if "parallel_tool_calls" in carried and any(SINGLE_CALLS in tool.extra for tool in request.tools):
        changes["parallel_tool_calls"] = False
    messages = with_plain_blocks(told_apart(put_back(request.messages)), inside, losses.report)
    messages = _cited(messages, cites or (lambda _: False), request.extra_format, losses)
    if messages is not request.messages:
        changes["messages"] = messages
    return attrs.evolve(request, **changes) if changes else request


def _cited(
    messages: Sequence[Message], cites: Callable[[Citation], bool], extra_format: str, losses: Losses
) -> Sequence[Message]:
    """Messages with the sources that can be sent back; the very same where nothing is lost."""
    if not any(isinstance(part, Text) and part.citations for message in messages for part in message.parts):
        return messages
    name = "messages.annotations" if extra_format.startswith("openai") else "messages.citations"
    return tuple(
        with_parts(message, tuple(kept_citations(message.parts, cites, lambda: losses.report(name))))
        for message in messages
    )


def _without_fields(request: ChatRequest, carried: Collection[str], losses: Losses) -> dict[str, Any]:
    """Canonical fields that are left out, with the value that says nothing."""
    empty: dict[str, Any] = {}
    for name, default in _ABSENT.items():
        value = getattr(request, name)
        if name in carried or value == default or value in _NOTHING:
            continue
        empty[name] = default
        if name == "parallel_tool_calls" and not request.tools:
            continue  # it says nothing without any
        if name == "choice_count":
            if value != 1:
                losses.refuse(name, "the model gives one answer at a time: ask for one, or several times")
        elif value not in _HARMLESS.get(name, ()):
            losses.report(name)
    return empty


def _kept_extra(request: ChatRequest, handled: Collection[str], losses: Losses) -> dict[str, Any]:
    """The fields of another format's own that stay: those that are handled, and those that ask for nothing."""
    repeated = None if request.reasoning_effort is None else _REPEATED.get(request.extra_format)
    kept = dict(request.extra)
    for name, value in request.extra.items():
        nothing = (not value and name not in _ASKED_EMPTY) or value in _HARMLESS.get(name, ())
        if name != repeated and (name in handled or name in BESIDE or nothing):
            if name == "include" and any(one not in _INCLUDED for one in value):
                losses.report(name)
            continue
        del kept[name]
        if name == repeated:
            continue
        if name == _GENERATION and not _only_text(value):
            losses.refuse(name, "the model answers in text alone: leave responseModalities out or choose another model")
        elif name in _REFUSED or (name == "include" and INCLUDED_LOGPROBS in value):
            otherwise = f"{name} has no counterpart at the provider: leave it out or choose another model"
            losses.refuse(name, _REMEDIES.get(name, otherwise))
        else:
            losses.report(name)
    return kept


def _only_text(config: Any) -> bool:
    """Whether a ``generationConfig`` wants no answer of another kind than text."""
    kinds = config.get("responseModalities") if isinstance(config, Mapping) else None
    return not isinstance(kinds, list) or all(str(kind).upper() in ("TEXT", "MODALITY_UNSPECIFIED") for kind in kinds)


def _indispensable(request: ChatRequest, losses: Losses) -> Iterable[ToolDefinition]:
    """The tools without those of OpenAI's own that agents offer beside theirs whatever the model (Codex: web search).

    Where there are no others the request is about them, and they stay to be refused.
    """
    beside = request.extra_format == "openai-responses" and any("type" not in tool.extra for tool in request.tools)
    for tool in request.tools:
        kind = tool.extra.get("type")
        if beside and isinstance(kind, str) and kind.startswith(_DISPENSABLE):
            losses.report(f"tools.{kind}")
        else:
            yield tool


def fit_messages(
    messages: Iterable[Message], losses: Losses, fit: Callable[[Message, str], Iterable[Part]]
) -> tuple[Message, ...]:
    """Messages for a format that does not know who speaks by name; those of which nothing is left are left out.

    Args:
        messages: The conversation.
        losses: Where what is lost is noted.
        fit: The parts of a message that the format can say, of the message and its place.
    """
    kept = []
    for index, message in enumerate(messages):
        if message.name is not None:
            losses.report("messages.name")
        parts = tuple(fit(message, f"messages[{index}]"))
        if parts or not message.parts:
            kept.append(with_parts(message, parts))
    return tuple(kept)


def with_parts(message: Message, parts: Sequence[Part]) -> Message:
    """The message with these parts; the very same one where they are its own, as they nearly always are."""
    if len(parts) == len(message.parts) and all(map(operator.is_, parts, message.parts)):
        return message
    return attrs.evolve(message, parts=parts)


_NOTHING: Final[tuple[Any, ...]] = ("", (), [], {})
"""Values that say nothing; zero and false do say something."""

_ABSENT: Final[Mapping[str, Any]] = {
    "choice_count": None,
    "frequency_penalty": None,
    "metadata": {},
    "output_format": None,
    "parallel_tool_calls": None,
    "presence_penalty": None,
    "reasoning_effort": None,
    "seed": None,
    "service_tier": None,
    "stop_sequences": (),
    "temperature": None,
    "tool_choice": None,
    "top_k": None,
    "top_p": None,
    "user": None,
}
"""The canonical fields that a format may lack, and the value of each that says nothing."""
