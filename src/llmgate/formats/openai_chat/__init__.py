"""The wire format ``openai-chat``: OpenAI's chat completions, and the many servers that speak them."""

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
from .fitting import FIELDS, fitted
from .parts import FORMAT
from .stream import ChatStreamEncoder, ChatStreamReader

__all__ = ["OpenAIChatFormat"]


class OpenAIChatFormat(Format):
    """OpenAI chat completions.

    No client header goes upstream. ``openai-organization`` and ``openai-project`` choose whom the gateway's own
    credential is billed to, ``openai-beta`` switches features on for it, and an ``idempotency-key`` of one caller could
    fetch the answer of another who shares the credential.
    """

    name = FORMAT
    fields = FIELDS
    longest_tool_name = 64
    request_headers = frozenset()
    response_headers = frozenset(
        {
            "openai-processing-ms",
            "openai-version",
            "retry-after",
            "retry-after-ms",
            "x-ratelimit-limit-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-requests",
            "x-ratelimit-reset-tokens",
            "x-should-retry",
        }
    )

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

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error in this format, which knows no 529."""
        status = error.http_status
        return 503 if status == 529 else status

    def stream_reader(self, *, withhold_usage: bool = False) -> StreamReader:
        """A reader for one stream."""
        return ChatStreamReader(withhold_usage=withhold_usage)

    def stream_encoder(self, *, include_usage: bool = False) -> StreamEncoder:
        """An encoder for one stream."""
        return ChatStreamEncoder(include_usage=include_usage)
