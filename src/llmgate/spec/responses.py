"""What is answered: whole answers, and the chunks of streamed ones."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from .messages import Message, Reasoning, Role, Text, ToolCall
from .usage import Usage

__all__ = [
    "ChatChoice",
    "ChatResponse",
    "ChoiceDelta",
    "ErrorDetail",
    "FinishReason",
    "GatewayChunk",
    "GatewayResponse",
    "Outcome",
    "ToolCallDelta",
]


class FinishReason(enum.StrEnum):
    """Why the model stopped.

    ``STOP_SEQUENCE`` is a stop at one of the texts that the request named. Providers that do not tell it from the
    model's own end say ``STOP``.
    """

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


@attrs.frozen
class ChatChoice:
    """One of the answers to a chat request.

    Args:
        index: Its number.
        message: What is said.
        finish_reason: Why it ended; None where the provider did not say.
        extra: Fields of the answer's wire format that have no canonical field.
        stop_sequence: Which of the request's texts ended it, where the provider says so.
    """

    index: int
    message: Message
    finish_reason: FinishReason | None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    stop_sequence: str | None = None


_EMPTY: Final = ChatChoice(0, Message(Role.ASSISTANT, ()), None)


@attrs.frozen
class ChatResponse:
    """A whole chat answer in canonical form.

    Args:
        id: The provider's id of the answer.
        model: The model that answered, as the provider names it.
        choices: The answers, one unless more were asked for.
        usage: Tokens, None when the provider did not say.
        created: Seconds since the epoch.
        extra: Fields of the wire format named by ``extra_format`` that have no canonical field.
        extra_format: Which wire format ``extra`` belongs to.
    """

    id: str
    model: str
    choices: Sequence[ChatChoice]
    usage: Usage | None = None
    created: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    extra_format: str = ""

    @property
    def first(self) -> ChatChoice:
        """The first answer, wherever it stands among several; an empty one where there is none."""
        return min(self.choices, key=lambda one: one.index, default=_EMPTY)

    @property
    def text(self) -> str:
        """The text of the first answer."""
        return self.first.message.text

    @property
    def reasoning(self) -> str:
        """The visible reasoning of the first answer."""
        return "".join(part.text for part in self.first.message.parts if isinstance(part, Reasoning))

    @property
    def tool_calls(self) -> Sequence[ToolCall]:
        """The tool calls of the first answer."""
        return tuple(part for part in self.first.message.parts if isinstance(part, ToolCall))

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first answer ended."""
        return self.first.finish_reason


@attrs.frozen
class ErrorDetail:
    """What an error body or an error event says, whatever its wire format.

    Args:
        message: The provider's words.
        type: The provider's class of error.
        code: The provider's code.
        param: The request field that is blamed.
        status: The HTTP status that the error stands for, where the body or event says so.
        retry_after: Seconds to wait, where the body says so.
        body: For an error event, its JSON where that is an error body of the same wire format.
    """

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    status: int | None = None
    retry_after: float | None = None
    body: bytes | None = attrs.field(default=None, repr=False)


@attrs.define
class Outcome:
    """What an observer has seen of an answer so far; the one place where usage and finish reason are gathered.

    Args:
        response_id: The provider's id of the answer.
        model: The model that answered, as the provider names it.
        usage: Tokens.
        finish_reason: Why the first answer ended.
        error: The error event inside a stream, if one came.
        content: Whether any text, reasoning, refusal or tool call has been seen.
        complete: Whether the wire format's terminal marker has been seen.
        service_tier: What the provider calls the tier of service that it gave.
        unread: What of a decoded stream has no canonical form, as ``answer.NAME``.
    """

    response_id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | None = None
    error: ErrorDetail | None = None
    content: bool = False
    complete: bool = False
    service_tier: str | None = None
    unread: set[str] = attrs.field(factory=set)


@attrs.frozen(eq=False, slots=False)
class GatewayResponse:
    """A whole answer on its way back: the body as it came, and a lazy canonical view of it.

    Args:
        format: The wire format of ``body``.
        status: The HTTP status, 200 unless an interceptor answers otherwise.
        headers: Response headers of the provider that the wire format allows to the client, lower-case names.
        body: The response body.
        outcome: What an observer saw in it.
        decode: Makes the canonical response of the body; called at most once.
        media_type: The content type of the body, parameters included.
        streamed: Whether ``body`` is a whole stream of events, terminal marker included; an answer to a request for a
            stream only.
    """

    format: str
    body: bytes = attrs.field(repr=False)
    outcome: Outcome
    decode: Callable[[bytes], ChatResponse] | None = attrs.field(default=None, repr=False)
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    media_type: str = "application/json"
    streamed: bool = False
    _decoded: list[ChatResponse] = attrs.field(factory=list, repr=False, init=False)

    @property
    def chat(self) -> ChatResponse:
        """The canonical response; decoded from the body when first read.

        Raises:
            ProviderProtocolError: the body is not a chat response.
        """
        if not self._decoded:
            assert self.decode is not None, "a chat response is made with the decoder of its wire format"
            self._decoded.append(self.decode(self.body))
        return self._decoded[0]


@attrs.frozen
class ToolCallDelta:
    """A piece of a tool call; ``index`` says which call of the answer it belongs to."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class ChoiceDelta:
    """A piece of one answer; ``stop_sequence`` is which of the request's texts ended it."""

    index: int = 0
    role: str | None = None
    parts: Sequence[Text | Reasoning] = ()
    refusal: str | None = None
    tool_calls: Sequence[ToolCallDelta] = ()
    finish_reason: FinishReason | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    stop_sequence: str | None = None


@attrs.frozen(eq=False)
class GatewayChunk:
    """One event of a streamed answer, decoded, with the bytes that it was made of.

    Args:
        choices: What is new, per answer.
        id: The provider's id of the answer.
        model: The model that answers.
        usage: Tokens, on the event that carries them.
        error: The error, if this event is one.
        final: Whether this is the wire format's terminal marker.
        raw: The event's own bytes, line ends included; ``b""`` on a chunk that a stage made.
        created: Seconds since the epoch.
        extra: Fields of the wire format that have no canonical field.
    """

    choices: Sequence[ChoiceDelta] = ()
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    error: ErrorDetail | None = None
    final: bool = False
    raw: bytes = attrs.field(default=b"", repr=False)
    created: int | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        """The new text of the first answer."""
        return "".join(
            part.text for choice in self.choices if choice.index == 0 for part in choice.parts if isinstance(part, Text)
        )

    @property
    def has_content(self) -> bool:
        """Whether the event carries text, reasoning, a refusal or a tool call: the commit point of a stream."""
        return any(
            choice.tool_calls or choice.refusal or any(part.text for part in choice.parts) for choice in self.choices
        )
