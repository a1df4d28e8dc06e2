"""The face that every translated format shows: each step is done by the module of its folder that is named for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    ChatResponse,
    Citation,
    ErrorDetail,
    Format,
    GatewayError,
    Message,
    ModelFacts,
    Outcome,
    Part,
    Reasoning,
    RequestHead,
    Unsupported,
)

from .answer_losses import unsaid_in
from .losses import Losses, with_parts
from .sealing import is_tagged

__all__ = ["ChatFormat"]


class _Requests(Protocol):
    """What ``requests.py`` of a format has."""

    def peek(self, body: bytes) -> RequestHead: ...

    def decode_request(self, body: bytes) -> ChatRequest: ...

    def encode_request(self, request: ChatRequest, facts: ModelFacts = ...) -> bytes: ...

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = ...) -> bytes: ...


class _Responses(Protocol):
    """What ``responses.py`` of a format has."""

    def decode_response(self, body: bytes) -> ChatResponse: ...

    def encode_response(self, response: ChatResponse) -> bytes: ...

    def observe_response(self, body: bytes) -> Outcome: ...


class _Errors(Protocol):
    """What ``errors.py`` of a format has."""

    def decode_error(self, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None: ...

    def encode_error(self, error: GatewayError) -> bytes: ...


class _Fitting(Protocol):
    """What ``fitting.py`` of a format has."""

    def fitted(self, request: ChatRequest, facts: ModelFacts) -> tuple[ChatRequest, Losses]: ...


class ChatFormat(Format):
    """A chat format whose steps are functions in the modules of its folder."""

    requests: _Requests
    responses: _Responses
    errors: _Errors
    fitting: _Fitting

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        return self.requests.peek(body)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The canonical request."""
        return self.requests.decode_request(body)

    def encode_request(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The request in this format."""
        return self.requests.encode_request(request, facts)

    def unsupported(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> Sequence[Unsupported]:
        """What this format cannot say of a request that came in another."""
        return self.fitting.fitted(request, facts)[1].found

    def fitted(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> ChatRequest:
        """The request less all that this format cannot say."""
        return self.fitting.fitted(request, facts)[0]

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
        """The body with canonical fields changed and every other byte left as it was."""
        return self.requests.patch_request(body, edits, facts)

    def without_foreign_proofs(self, messages: Sequence[Message]) -> Sequence[Message]:
        """A conversation of this format without the reasoning that a model of another one has proved."""
        kept = []
        for message in messages:
            parts = tuple(part for part in message.parts if not (isinstance(part, Reasoning) and self.is_foreign(part)))
            if parts or not message.parts:
                kept.append(with_parts(message, parts))
        return tuple(kept)

    def is_foreign(self, part: Reasoning) -> bool:
        """Whether reasoning in a conversation of this format carries the proof of a model of another one."""
        return is_tagged(part.signature)

    def decode_response(self, body: bytes) -> ChatResponse:
        """The canonical response."""
        return self.responses.decode_response(body)

    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""
        return self.responses.encode_response(response)

    def observe_response(self, body: bytes) -> Outcome:
        """What a relay needs to know of a whole answer."""
        return self.responses.observe_response(body)

    def says(self, said: Citation | Part) -> bool:  # noqa: ARG002 - for formats that have any
        """Whether an answer in this format has words for a source, or a place for media or a part of another format."""
        return False

    def unsaid(self, response: ChatResponse) -> Sequence[str]:
        """What cannot be written of an answer that came in another format."""
        if response.extra_format in ("", self.name):
            return ()
        return tuple(dict.fromkeys(unsaid_in(response, self.says, several="choice_count" in self.fields)))

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says; its status says nothing more."""
        return self.errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in this format."""
        return self.errors.encode_error(error)
