"""Error bodies and exceptions in both directions.

Source: Amazon Bedrock API reference, "Converse", "ConverseStream", errors; AWS restJson1 protocol, "Operation error
serialization". A body says only what went wrong; which class of error it is stands in a header, or, inside a stream, in
the exception's own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from llmgate.codecs.jsons import JSONError, dumps, loads
from llmgate.formats.openai_chat.errors import decode_error as decode_any
from llmgate.spec import ErrorDetail, GatewayError

__all__ = ["ERROR_TYPE", "decode_error", "detail_of", "encode_error", "error_status", "type_of"]

ERROR_TYPE: Final = "x-amzn-errortype"
"""The header that names the class of an error."""

_STATUSES: Final[Mapping[str, int]] = {
    "AccessDeniedException": 403,
    "ConflictException": 400,
    "ExpiredTokenException": 403,
    "IncompleteSignatureException": 403,
    "InternalServerException": 500,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}
"""The status that a class of error stands for; in a stream there is no other."""

_TYPES: Final[Mapping[int, str]] = {
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
"""The class of an error by its status; other 4xx are ``ValidationException``, the rest ``InternalServerException``."""

_IN_STREAMS: Final = frozenset(
    {"InternalServerException", "ModelStreamErrorException", "ValidationException", "ThrottlingException"}
    | {"ServiceUnavailableException", "ModelTimeoutException"}
)
"""Classes that clients know inside a stream."""


def decode_error(headers: Mapping[str, str], body: bytes) -> ErrorDetail | None:
    """What an error body says, that of a proxy in front of the service included; None when it is no error body."""
    try:
        value = loads(body)
    except JSONError:
        return None
    if not isinstance(value, dict):
        return None
    named = headers.get(ERROR_TYPE) or value.get("__type") or value.get("code")
    detail = detail_of(value, named if isinstance(named, str) else "")
    return detail if detail is not None else decode_any(headers, body)


def detail_of(value: Mapping[str, Any], named: str) -> ErrorDetail | None:
    """An error of a class whose name may be written as a shape or with an address: ``aws#ThrottlingException:http://…``.

    Args:
        value: The JSON of the error.
        named: What it is called, ``""`` for nothing.

    Returns:
        None when the value tells nothing and nobody names the error.
    """
    message = next((value[name] for name in ("message", "Message") if isinstance(value.get(name), str)), None)
    kind = named.partition(":")[0].rpartition("#")[2]
    kind = kind[:1].upper() + kind[1:]
    if message is None and not kind:
        return None
    code = "insufficient_quota" if kind == "ServiceQuotaExceededException" else None
    return ErrorDetail(message or kind, type=kind or None, code=code, status=_STATUSES.get(kind))


def encode_error(error: GatewayError) -> bytes:
    """An error body in this format; ``type_of`` stands in a header beside it."""
    return dumps({"message": error.message.encode("utf-8", "replace").decode()})


def error_status(error: GatewayError) -> int:
    """The status of an error; AWS knows no 401."""
    status = error.http_status
    return 403 if status == 401 else status


def type_of(error: GatewayError, *, streamed: bool = False) -> str:
    """The class of an error.

    Args:
        error: The error.
        streamed: Whether it comes inside a stream, where clients know fewer classes.
    """
    status = error.http_status
    kind = _TYPES.get(status) or ("ValidationException" if 400 <= status < 500 else "InternalServerException")
    if not streamed or kind in _IN_STREAMS:
        return kind
    return "ModelStreamErrorException" if kind == "ModelErrorException" else "ValidationException"
