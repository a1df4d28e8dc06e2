"""The wire format ``anthropic-count-tokens``: how many tokens a request for messages would take.

Source: Anthropic API reference, "Count tokens in a Message": the request is one for messages without its limits, the
answer ``{"input_tokens": N}``. It goes to providers who count; for the models of others there is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.anthropic_messages import AnthropicMessagesFormat, errors, requests
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import (
    ChatRequest,
    ErrorDetail,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    Operation,
    Outcome,
    RequestHead,
)

from .estimate import estimate_input

__all__ = ["AnthropicCountTokensFormat", "estimated"]

_MESSAGES: Final = AnthropicMessagesFormat()


class AnthropicCountTokensFormat(RelayedFormat):
    """Anthropic's token counts."""

    name = "anthropic-count-tokens"
    operation = Operation.COUNT_TOKENS
    answer = "token counts"
    editable: ClassVar[Mapping[str, str]] = {"model": "model"}
    request_header_prefixes = AnthropicMessagesFormat.request_header_prefixes
    response_headers = AnthropicMessagesFormat.response_headers
    response_header_prefixes = AnthropicMessagesFormat.response_header_prefixes
    request_id_header = AnthropicMessagesFormat.request_id_header

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once; nothing here is ever streamed."""
        head = requests.peek(body)
        return RequestHead(head.model)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The request whose tokens are to be counted."""
        return requests.decode_request(body)

    def allows_up(self, header: str) -> bool:
        """Whether a client's header goes upstream: the same as for messages."""
        return _MESSAGES.allows_up(header)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """What an answer says; counting is free, so that it is no usage."""
        count = value.get("input_tokens")
        if isinstance(count, bool) or not isinstance(count, int):
            raise self.not_an_answer("input_tokens must be an integer")
        return Outcome(content=True, complete=True)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says."""
        return errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in Anthropic's shape."""
        return errors.encode_error(error)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error."""
        return errors.error_status(error)


def estimated(request: GatewayRequest) -> GatewayResponse:
    """The answer for a model whose provider does not count."""
    body = dumps({"input_tokens": estimate_input(request.chat)})
    return GatewayResponse(
        format=AnthropicCountTokensFormat.name, body=body, outcome=Outcome(content=True, complete=True)
    )
