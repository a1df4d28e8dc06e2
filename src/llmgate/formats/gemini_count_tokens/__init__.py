"""The wire format ``gemini-count-tokens``: how many tokens a request would take.

Source: Gemini API reference, "countTokens": contents, or a whole request under ``generateContentRequest``; the
answer ``{"totalTokens": N}``. It goes to providers who count; for the models of others there is an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from llmgate.codecs.jsons import dumps
from llmgate.formats.anthropic_count_tokens.estimate import estimate_input
from llmgate.formats.bodies import read_top
from llmgate.formats.gemini_generate_content import GeminiGenerateContentFormat, errors, requests
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import (
    UNKNOWN_MODEL,
    ChatRequest,
    ErrorDetail,
    GatewayError,
    GatewayRequest,
    GatewayResponse,
    InvalidRequestError,
    ModelFacts,
    Operation,
    Outcome,
    RequestHead,
)

__all__ = ["GeminiCountTokensFormat", "estimated"]

_WHOLE: Final = ("generateContentRequest", "generate_content_request")


class GeminiCountTokensFormat(RelayedFormat):
    """Gemini's token counts."""

    name = "gemini-count-tokens"
    operation = Operation.COUNT_TOKENS
    addressed = True
    answer = "token counts"
    editable: ClassVar[Mapping[str, str]] = {"model": "model"}
    response_headers = GeminiGenerateContentFormat.response_headers

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once; nothing here is ever streamed."""
        read = read_top(body)
        if not any(isinstance(read.get(name), list | dict) for name in ("contents", *_WHOLE)):
            raise InvalidRequestError("contents must be an array of contents", param="contents")
        return RequestHead("")

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG002
        """The body; where it names the model inside, with the name that the address has."""
        model = edits.get("model")
        read = read_top(body) if model else None
        for name in _WHOLE if read is not None else ():
            inner = read.get(name) if read is not None else None
            if isinstance(inner, dict) and "model" in inner:
                return read_top(body).patched({name: {**inner, "model": f"models/{model}"}})
        return body

    def decode_request(self, body: bytes) -> ChatRequest:
        """The request whose tokens are to be counted."""
        read = read_top(body)
        inner = next((read.get(name) for name in _WHOLE if isinstance(read.get(name), dict)), None)
        return requests.decode_request(body if inner is None else dumps({"contents": [], **inner}))

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """What an answer says; counting is free, so that it is no usage."""
        count = value.get("totalTokens", 0)
        if isinstance(count, bool) or not isinstance(count, int):
            raise self.not_an_answer("totalTokens must be an integer")
        return Outcome(content=True, complete=True)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says."""
        return errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in Google's shape."""
        return errors.encode_error(error)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error."""
        return errors.error_status(error)


def estimated(request: GatewayRequest) -> GatewayResponse:
    """The answer for a model whose provider does not count."""
    body = dumps({"totalTokens": estimate_input(request.chat)})
    return GatewayResponse(format=GeminiCountTokensFormat.name, body=body, outcome=Outcome(content=True, complete=True))
