"""What the formats have in common that are relayed and never translated: one operation, one vendor's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NoReturn

from llmgate.codecs.jsons import REMOVE, JSONError, loads
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    ChatResponse,
    ErrorDetail,
    Format,
    GatewayError,
    InvalidRequestError,
    ModelFacts,
    Outcome,
    ProviderProtocolError,
    StreamEncoder,
    StreamReader,
)

from .bodies import read_top
from .openai_chat import OpenAIChatFormat, errors

__all__ = ["RelayedFormat"]

_ALWAYS: Final[Mapping[str, str]] = {"model": "model", "user": "user"}


class RelayedFormat(Format):
    """A format of OpenAI's that goes to providers who speak it, and to no other."""

    response_headers = OpenAIChatFormat.response_headers
    answer: ClassVar[str]
    """What an answer is called in messages."""
    editable: ClassVar[Mapping[str, str]] = _ALWAYS
    """Canonical fields that can be patched into a body, and what the body calls them."""

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG002
        """The body with the fields changed that this format has; ``stream`` is left to it.

        Raises:
            InvalidRequestError: an edit has no counterpart in this format.
        """
        if not edits:
            return body
        unknown = edits.keys() - self.editable.keys()
        if unknown:
            raise InvalidRequestError(f"{', '.join(sorted(unknown))} cannot be changed in a request for {self.answer}")
        return read_top(body).patched(
            {self.editable[name]: REMOVE if value is None else value for name, value in edits.items()}
        )

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says."""
        return errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in OpenAI's shape."""
        return errors.encode_error(error)

    def decode_request(self, body: bytes) -> ChatRequest:  # noqa: ARG002 - the interface
        """There is no canonical form."""
        self._refuse()

    def encode_request(self, request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG002 - the interface
        """There is no canonical form."""
        self._refuse()

    def decode_response(self, body: bytes) -> ChatResponse:  # noqa: ARG002 - the interface
        """There is no canonical form."""
        self._refuse()

    def encode_response(self, response: ChatResponse) -> bytes:  # noqa: ARG002 - the interface
        """There is no canonical form."""
        self._refuse()

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - the interface
        """There are no streams."""
        self._refuse()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - the interface
        """There are no streams."""
        self._refuse()

    def observe_response(self, body: bytes) -> Outcome:
        """What a relay needs to know of a whole answer."""
        try:
            value = loads(body)
        except JSONError as error:
            raise self.not_an_answer(str(error)) from None
        if not isinstance(value, dict):
            raise self.not_an_answer("it is not a JSON object")
        error_detail = errors.error_in(value)
        return Outcome(error=error_detail) if error_detail is not None else self.outcome_of(value)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """What an answer says.

        Raises:
            ProviderProtocolError: it is not one in this format.
        """
        raise NotImplementedError

    def not_an_answer(self, reason: str) -> ProviderProtocolError:
        """The error for a body that is no answer."""
        return ProviderProtocolError(f"the answer is not {self.answer}: {reason}", retryable=True)

    def _refuse(self) -> NoReturn:
        raise InvalidRequestError(
            f"a request for {self.answer} goes only to providers that speak {self.name}", code="operation_not_supported"
        )
