"""What is asked: the canonical chat request, and the request as it travels through the pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from .messages import Message, ToolChoice, ToolDefinition
from .model_chain import read_model_chain
from .models import ModelFacts
from .operations import Operation
from .uploads import Upload

__all__ = ["EDITABLE_FIELDS", "ChatRequest", "GatewayRequest", "OutputBound", "OutputFormat", "RelayTarget"]

_Patch: TypeAlias = Callable[[Mapping[str, Any], ModelFacts], bytes]
_Read: TypeAlias = tuple[bytes, _Patch, "Callable[[], OutputBound | None] | None", Callable[[], dict[str, Any]] | None]


@attrs.frozen
class OutputFormat:
    """The shape that the answer must have: ``type`` is text, json or json_schema."""

    type: str
    schema: Mapping[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None
    description: str | None = None


@attrs.define(unsafe_hash=True)  # not frozen: each request that is counted by tokens makes one
class OutputBound:
    """How much output a request allows.

    Args:
        tokens: Upper bound of the tokens of an answer; None where it sets none.
        answers: How many answers it asks for.
    """

    tokens: int | None = None
    answers: int = 1


@attrs.frozen
class ChatRequest:
    """A chat request in canonical form, the same for every wire format.

    Args:
        model: The model asked for.
        messages: The conversation, oldest first.
        tools: What the model may call.
        tool_choice: Whether it must.
        parallel_tool_calls: Whether it may call several at once; None leaves it to the provider.
        output_format: The shape of the answer; None is plain text.
        max_output_tokens: Upper bound of output tokens.
        temperature: Sampling temperature.
        top_p: Nucleus sampling mass.
        top_k: Sampling from the k likeliest.
        stop_sequences: Texts that end the answer.
        seed: For repeatable sampling.
        frequency_penalty: As OpenAI defines it.
        presence_penalty: As OpenAI defines it.
        choice_count: How many answers; None is one.
        reasoning_effort: none, minimal, low, medium, high, xhigh or max.
        user: The caller's own name for its end user.
        service_tier: The provider's service tier.
        stream: Whether the answer is to be streamed.
        include_usage: Whether a streamed answer is to end with its usage.
        metadata: The caller's labels.
        extra: Fields of the wire format named by ``extra_format`` that have no canonical field.
        extra_format: Which wire format ``extra`` belongs to.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[ToolDefinition] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: Sequence[str] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    choice_count: int | None = None
    reasoning_effort: str | None = None
    user: str | None = None
    service_tier: str | None = None
    stream: bool = False
    include_usage: bool = False
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    extra: Mapping[str, Any] = attrs.field(factory=dict)
    extra_format: str = ""


EDITABLE_FIELDS: Final = frozenset(field.name for field in attrs.fields(ChatRequest)) - {"extra", "extra_format"}
"""The names that ``GatewayRequest.edited`` accepts; a wire format patches exactly these into a body."""


@attrs.frozen
class RelayTarget:
    """Where a request goes that is handed to one provider as it is.

    Args:
        method: The HTTP method.
        path: The path at the provider's host, with the query if there is one.
        session: The format of a session (``ProviderRow.sockets``) that has a path of its own at the provider; ``path``
            is then no more than the query.
    """

    method: str
    path: str
    session: str = ""


@attrs.frozen(eq=False, slots=False)
class GatewayRequest:
    """A request on its way: the body as it came, what a peek at it told, and the edits that stages have recorded.

    The body is never rewritten on the way. A stage changes a request by ``edited(...)``; the wire format patches the
    recorded edits into the original bytes just before they leave, so that fields nobody knows survive.

    Args:
        operation: What is asked for.
        format: The wire format of ``body``, for example ``openai-chat``.
        body: The request body as the caller sent it.
        model: The model asked for.
        stream: Whether a streamed answer is wanted.
        include_usage: Whether the caller asked for usage at the end of a stream.
        bound_by: The field by which it refers to what only the provider that made it has; None for none.
        decode: Makes the canonical request of the body; called at most once, when ``chat`` is first read.
        router: The router addressed; None for the unified API.
        headers: Client headers that the wire format allows upstream, lower-case names.
        metadata: Labels for the record; they are not sent upstream.
        edits: Canonical fields that stages have changed.
        provider: The provider that its address names, the only one that may serve it; None where it names none.
        relay: For ``Operation.RELAY``, where it goes; None otherwise.
        deadline: Monotonic time at which the caller stops waiting; None for the configured total.
        max_retries: Repeats the caller allows; None for the configured number.
        upload: The body where it goes up as it comes; ``body`` is then empty, and no stage can read it.
        user: The caller's own name for its end user, where a first look at the body tells it.
        patches: A body, what patches edits into it without reading it anew, for ``take_patch``, what tells its output
            bound, where its format knows that without decoding it, and what tells its top level, for ``top_values``.
    """

    operation: Operation
    format: str
    body: bytes = attrs.field(repr=False)
    model: str
    stream: bool
    include_usage: bool = False
    bound_by: str | None = None
    decode: Callable[[bytes], ChatRequest] | None = attrs.field(default=None, repr=False)
    router: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    edits: Mapping[str, Any] = attrs.field(factory=dict)
    provider: str | None = None
    relay: RelayTarget | None = None
    deadline: float | None = None
    max_retries: int | None = None
    upload: Upload | None = attrs.field(default=None, repr=False)
    user: str | None = attrs.field(default=None, repr=False)
    _patches: list[_Read] = attrs.field(factory=list, repr=False)
    _decoded: list[ChatRequest] = attrs.field(factory=list, repr=False, init=False)

    def take_patch(self) -> _Patch | None:
        """What patches edits into the body without reading it anew; None where there is nothing.

        Only the first caller gets it: it holds all that has been read of the body, which would otherwise stay in
        memory for the length of a stream.
        """
        if not self._patches:
            return None
        body, patch, _, _ = self._patches.pop()
        return patch if body is self.body else None

    @property
    def output_bound(self) -> OutputBound:
        """How much output a chat request allows, with every edit; the body is decoded only where nothing else tells.

        Raises:
            InvalidRequestError: the body is not a chat request.
        """
        edited = self.edits and not self.edits.keys().isdisjoint(("max_output_tokens", "choice_count"))
        if self._patches and not self._decoded and not edited:
            body, _, told, _ = self._patches[0]
            bound = told() if told is not None and body is self.body else None
            if bound is not None:
                return bound
        return OutputBound(self.chat.max_output_tokens, self.chat.choice_count or 1)

    def top_values(self) -> dict[str, Any] | None:
        """The members of the body's top level, where they have been read and not yet been let go; None elsewhere.

        They are those of the body as it came, without edits. The mapping is the caller's own, its values are shared.
        """
        if not self._patches:
            return None
        body, _, _, values = self._patches[0]
        return values() if values is not None and body is self.body else None

    @property
    def models(self) -> Sequence[str]:
        """The models that ``model`` asks for; several where it is a chain. Who judges by the model judges each."""
        return read_model_chain(self.model).models

    @property
    def chat(self) -> ChatRequest:
        """The canonical request with every edit applied; decoded from the body when first read.

        Raises:
            InvalidRequestError: the body is not a chat request.
        """
        if not self._decoded:
            assert self.decode is not None, "a chat request is made with the decoder of its wire format"
            decoded = self.decode(self.body)
            self._decoded.append(attrs.evolve(decoded, **self.edits) if self.edits else decoded)
        return self._decoded[0]

    def edited(self, **fields: Any) -> GatewayRequest:
        """A copy in which canonical fields are changed, for example ``request.edited(max_output_tokens=100)``.

        Args:
            **fields: Fields of ``ChatRequest`` and their new values; None takes the field out.

        Raises:
            TypeError: a name is not a field that may be edited.
        """
        unknown = fields.keys() - EDITABLE_FIELDS
        if unknown:
            raise TypeError(f"{', '.join(sorted(unknown))}: not a field of a chat request that may be edited")
        return attrs.evolve(
            self,
            edits={**self.edits, **fields},
            model=fields.get("model", self.model),
        )

    def labelled(self, **metadata: str) -> GatewayRequest:
        """A copy with more labels for the record."""
        return attrs.evolve(self, metadata={**self.metadata, **metadata})
