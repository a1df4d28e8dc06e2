"""The wire format ``anthropic-messages``: Anthropic's Messages, and the servers that copy them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmgate.spec import (
    ChatRequest,
    ChatResponse,
    ErrorDetail,
    Format,
    GatewayError,
    Outcome,
    RequestHead,
    StreamEncoder,
    StreamReader,
    Unsupported,
)

from . import errors, requests, responses
from .encoder import PING, MessageStreamEncoder
from .fitting import FIELDS, fitted
from .parts import FORMAT
from .stream import MessageStreamReader

__all__ = ["AnthropicMessagesFormat"]

_WHO_PAYS = frozenset({"anthropic-organization-id", "anthropic-workspace-id"})


class AnthropicMessagesFormat(Format):
    """Anthropic Messages.

    Every ``anthropic-*`` header of a client goes upstream, those that nobody knows yet included: features are switched
    on by headers and body together, and the vendor asks gateways to pass both on. Not so those that choose whom the
    gateway's own credential is billed to.
    """

    name = FORMAT
    fields = FIELDS
    longest_tool_name = 128
    heartbeat = PING
    request_id_header = "request-id"
    request_header_prefixes = ("anthropic-",)
    response_headers = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
    response_header_prefixes = ("anthropic-ratelimit-",)

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        return requests.peek(body)

    def decode_request(self, body: bytes) -> ChatRequest:
        """The canonical request."""
        return requests.decode_request(body)

    def encode_request(self, request: ChatRequest) -> bytes:
        """The request in this format."""
        return requests.encode_request(request)

    def unsupported(self, request: ChatRequest) -> Sequence[Unsupported]:
        """What this format cannot say of a request that came in another."""
        return fitted(request)[1].found

    def patch_request(self, body: bytes, edits: Mapping[str, Any]) -> bytes:
        """The body with canonical fields changed and every other byte left as it was."""
        return requests.patch_request(body, edits)

    def decode_response(self, body: bytes) -> ChatResponse:
        """The canonical response."""
        return responses.decode_response(body)

    def encode_response(self, response: ChatResponse) -> bytes:
        """The response in this format."""
        return responses.encode_response(response)

    def observe_response(self, body: bytes) -> Outcome:
        """What a relay needs to know of a whole answer."""
        return responses.observe_response(body)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says; its status says nothing more."""
        return errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in this format."""
        return errors.encode_error(error)

    def allows_up(self, header: str) -> bool:
        """Whether a client's header goes upstream."""
        return header not in _WHO_PAYS and super().allows_up(header)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format."""
        return errors.error_status(error)

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:  # noqa: ARG002 - usage has no event of its own
        """A reader for one stream."""
        return MessageStreamReader()

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:  # noqa: ARG002 - usage always comes
        """An encoder for one stream."""
        return MessageStreamEncoder()
