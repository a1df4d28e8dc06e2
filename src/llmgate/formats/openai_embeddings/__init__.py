"""The wire format ``openai-embeddings``: texts to vectors.

Source: OpenAI API reference, "Create embeddings".
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from llmgate.codecs.jsons import loads
from llmgate.formats.bodies import read_top
from llmgate.formats.openai_chat.usage import decode_usage
from llmgate.formats.relayed import RelayedFormat
from llmgate.spec import InvalidRequestError, Operation, Outcome, RequestHead

__all__ = ["OpenAIEmbeddingsFormat", "vectors_in"]


class OpenAIEmbeddingsFormat(RelayedFormat):
    """OpenAI embeddings."""

    name = "openai-embeddings"
    operation = Operation.EMBEDDINGS
    answer = "embeddings"

    def peek(self, body: bytes) -> RequestHead:
        """Read the top level of a request body once."""
        read = read_top(body)
        model = read.get("model")
        if not isinstance(model, str) or not model:
            raise InvalidRequestError("model must be a non-empty string", param="model", code="missing_model")
        if not isinstance(read.get("input"), str | list):
            raise InvalidRequestError("input must be a string or an array", param="input")
        user = read.get("user")
        return RequestHead(model, user=user if isinstance(user, str) else None)

    def outcome_of(self, value: Mapping[str, Any]) -> Outcome:
        """Usage and model; embeddings have no finish reason."""
        if not isinstance(value.get("data"), list):
            raise self.not_an_answer("data must be an array")
        model = value.get("model")
        return Outcome(
            model=model if isinstance(model, str) else None,
            usage=decode_usage(value.get("usage")),
            content=bool(value["data"]),
            complete=True,
        )


def vectors_in(body: bytes) -> Sequence[Sequence[float]]:
    """The vectors of an answer, in the order of the inputs, whether they came as numbers or as base64.

    Raises:
        ValueError: a vector is neither.
    """
    entries = sorted(loads(body)["data"], key=lambda entry: entry.get("index", 0))
    return [_vector(entry["embedding"]) for entry in entries]


def _vector(value: Any) -> Sequence[float]:
    if isinstance(value, list):
        return value
    try:
        data = base64.b64decode(value, validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (TypeError, binascii.Error, struct.error):
        raise ValueError("an embedding is neither an array of numbers nor base64 of 32-bit floats") from None
