"""Error bodies in both directions: ``{"error": "…"}``, as an answer and as a line of a stream.

Source: Ollama, docs/api.md and server/routes.go. Servers that copy the format send other shapes as well; those are read
as for OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.openai_chat.errors import decode_error as decode_any, error_in as any_error_in
from llmgate.spec import ErrorDetail, GatewayError

__all__ = ["decode_error", "encode_error", "error_in"]


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says; None when it is not an error body (HTML, empty, garbage)."""
    return decode_any(headers, body)


def error_in(value: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that an answer or a line holds although it came with a success status; None when it holds none."""
    detail = any_error_in(value)
    if detail is None:
        return None
    return attrs.evolve(detail, body=dumps({**value, "error": detail.message}))


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format, which has room for the message and nothing else."""
    return dumps({"error": error.message.encode("utf-8", "replace").decode()})
