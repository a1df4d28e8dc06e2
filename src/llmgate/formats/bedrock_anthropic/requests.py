"""Requests: those of Anthropic Messages without the model and ``stream``, and with the version of the API.

Source: Amazon Bedrock user guide, "Anthropic Claude Messages API".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.codecs.jsons import REMOVE, JSONError, TopLevel, top
from llmgate.formats.anthropic_messages import requests as messages
from llmgate.spec import UNKNOWN_MODEL, ChatRequest, InvalidRequestError, ModelFacts, RequestHead

__all__ = ["VERSION", "decode_request", "encode_request", "patch_request", "peek"]

VERSION: Final = "bedrock-2023-05-31"

_VERSION_FIELD: Final = "anthropic_version"
_ADDRESSED: Final = frozenset({"model", "stream", "include_usage"})
_ANY: Final = "model"
"""Stands for the model where a body must name one to be read; the address says which it is."""


def peek(body: bytes) -> RequestHead:
    """What one pass over the top level tells; the model and streaming are told by the address.

    Raises:
        InvalidRequestError: the body is not a request in this format.
    """
    read = _top(body)
    if not isinstance(read.get(_VERSION_FIELD), str):
        raise InvalidRequestError(
            f"{_VERSION_FIELD} must be a string such as {VERSION}: of the bodies that models take in their makers' own "
            "words only Anthropic's are understood here; call Converse, or the direct relay below /bedrock",
            param=_VERSION_FIELD,
        )
    if not isinstance(read.get("messages"), list):
        raise InvalidRequestError("messages must be an array of messages", param="messages")
    metadata = read.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return RequestHead("", user=user if isinstance(user, str) else None)


def decode_request(body: bytes) -> ChatRequest:
    """The canonical request: one of Anthropic Messages.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """
    plain = _top(body).patched({"model": _ANY, "stream": REMOVE, _VERSION_FIELD: REMOVE})
    return attrs.evolve(messages.decode_request(plain), model="")


def encode_request(request: ChatRequest, facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The request in this format.

    Raises:
        InvalidRequestError: something in it that cannot be left out has no counterpart in this format.
    """
    written = top(messages.encode_request(request, facts))
    return written.patched({"model": REMOVE, "stream": REMOVE, _VERSION_FIELD: VERSION})


def patch_request(body: bytes, edits: Mapping[str, Any], facts: ModelFacts = UNKNOWN_MODEL) -> bytes:
    """The body with canonical fields changed and every other byte left as it was.

    Raises:
        TypeError: an edit names a field that may not be edited.
        InvalidRequestError: the body is not a request, or an edit has no counterpart in this format.
    """
    said = {name: value for name, value in edits.items() if name not in _ADDRESSED}
    if not said:
        return body
    read = _top(body)
    named = read if read.has("model") else top(read.patched({"model": _ANY}))
    patched = top(messages.patch_request(named.body, said, facts))
    return patched.body if read.has("model") else patched.patched({"model": REMOVE})


def _top(body: bytes) -> TopLevel:
    try:
        return top(body)
    except JSONError as error:
        raise InvalidRequestError(f"the request body is refused: {error}", code="invalid_json") from None
