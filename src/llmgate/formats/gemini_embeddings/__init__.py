"""The wire formats ``gemini-embed-content`` and ``gemini-batch-embed-contents``: contents to vectors.

Source: Gemini API reference, "embedContent" and "batchEmbedContents".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmgate.formats.bodies import read_top
from llmgate.formats.gemini_generate_content import GeminiGenerateContentFormat, errors
from llmgate.formats.gemini_generate_content.usage import decode_usage
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import (
    UNKNOWN_MODEL,
    ErrorDetail,
    GatewayError,
    InvalidRequestError,
    ModelFacts,
    Operation,
    Outcome,
    RequestHead,
)

__all__ = ["GeminiBatchEmbedContentsFormat", "GeminiEmbedContentFormat"]


class GeminiEmbedContentFormat(RelayedFormat):
    """The vector of one content."""

    name = "gemini-embed-content"
    operation = Operation.EMBEDDINGS
    addressed = True
    answer = "embeddings of Gemini's"
    editable: ClassVar[Mapping[str, str]] = {"model": "model"}
    response_headers = GeminiGenerateContentFormat.response_headers
    asked: ClassVar[str] = "content"
    """The member of a request that says what is to be embedded."""
    given: ClassVar[str] = "embedding"
    """The member of an answer that holds the vectors."""

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        if not isinstance(read_top(body).get(self.asked), list | dict):
            raise InvalidRequestError(f"{self.asked} must be there", param=self.asked)
        return RequestHead("")

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG002
        """The body; where it names the model inside, with the name that the address has."""
        model = edits.get("model")
        if not model:
            return body
        read = read_top(body)
        return read.patched({"model": f"models/{model}"}) if read.has("model") else body

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage where it is told; the answer names no model and has no finish reason."""
        vectors = value.get(self.given)
        if not isinstance(vectors, list | dict):
            raise self.not_an_answer(f"{self.given} is missing")
        return Outcome(usage=decode_usage(value.get("usageMetadata")), content=bool(vectors), complete=True)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:  # noqa: ARG002
        """What an error body says."""
        return errors.decode_error(headers, body)

    def encode_error(self, error: GatewayError) -> bytes:
        """An error body in Google's shape."""
        return errors.encode_error(error)

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status of an error."""
        return errors.error_status(error)


class GeminiBatchEmbedContentsFormat(GeminiEmbedContentFormat):
    """The vectors of several contents, each request of which names the model again."""

    name = "gemini-batch-embed-contents"
    asked = "requests"
    given = "embeddings"

    def patch_request(self, body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:  # noqa: ARG002
        """The body with the name that the address has in each of its requests."""
        model = edits.get("model")
        if not model:
            return body
        read = read_top(body)
        asked = read.get(self.asked)
        named = [
            {**one, "model": f"models/{model}"} if isinstance(one, dict) else one
            for one in (asked if isinstance(asked, list) else [asked])
        ]
        return read.patched({self.asked: named})
