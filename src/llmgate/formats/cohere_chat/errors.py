"""Error bodies in both directions: ``{"message": "…"}``, and a stream whose ``message-end`` says that it failed.

Source: Cohere API reference, "Errors" and "Chat (v2)", ``finish_reason``; 498 stands for a token that is no good, 499
for a client that left. Servers that copy the format send other shapes as well; those are read as for OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import dumps
from llmgate.formats.openai_chat.errors import decode_error as decode_any, error_in as any_error_in
from llmgate.spec import ErrorDetail, GatewayError

__all__ = ["FAILURES", "decode_error", "encode_error", "encode_message", "error_in", "failure_in"]

FAILURES: Final[Mapping[str, int]] = {"ERROR": 500, "TIMEOUT": 504}
"""Finish reasons of answers that never came to their end, and the status that each stands for."""


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says; None when it is not an error body (HTML, empty, garbage)."""
    return decode_any(headers, body)


def error_in(value: Mapping[str, Any]) -> ErrorDetail | None:
    """The error that an answer or an event holds although it came with a success status; None when it holds none."""
    detail = any_error_in(value)
    message = value.get("message")
    if detail is None and isinstance(message, str) and "finish_reason" not in value:
        detail = ErrorDetail(message)
    return None if detail is None else attrs.evolve(detail, body=encode_message(detail.message))


def failure_in(end: Mapping[str, Any]) -> ErrorDetail | None:
    """The failure that the end of an answer tells: its reason and perhaps what went wrong.

    Args:
        end: What has ``finish_reason``: a whole answer, or the ``delta`` of a ``message-end``.
    """
    reason, said = end.get("finish_reason"), end.get("error")
    status = FAILURES.get(reason) if isinstance(reason, str) else None
    message = said if isinstance(said, str) and said else None
    if status is None and message is None:
        return None
    message = message or f"the model did not come to an end: {reason}"
    return ErrorDetail(message, status=status or 500, body=encode_message(message))


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format, which has room for the message and nothing else."""
    return encode_message(error.message)


def encode_message(message: str) -> bytes:
    """An error body with a message; a surrogate in it must not turn an error into another."""
    return dumps({"message": message.encode("utf-8", "replace").decode()})
