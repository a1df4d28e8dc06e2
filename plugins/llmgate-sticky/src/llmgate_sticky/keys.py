"""What a request is kept together by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from llmgate.formats.end_user import end_user_of
from llmgate.spec import ExchangeView, GatewayRequest, InvalidRequestError, Operation, Role

__all__ = ["key_of"]

_HEADERS: Final[Mapping[str, str]] = {"user": "helicone-user-id", "session": "helicone-session-id"}
"""Where callers may say what else stands in the body; the header wins, as it does for limits and records."""


def key_of(view: ExchangeView, by: str) -> str | None:
    """The key of a request, None when it has none.

    Args:
        view: The exchange.
        by: ``user``, ``principal``, ``prefix``, or the name of a label.
    """
    named = view.client_headers.get(_HEADERS[by]) if by in _HEADERS else None
    if named:
        return named
    if by == "principal":
        return f"{view.principal.issuer}\n{view.principal.id}"
    if by == "user":
        return end_user_of(view.request)
    if by == "prefix":
        return _prefix_of(view.request)
    return view.request.metadata.get(by) or None


def _prefix_of(request: GatewayRequest) -> str | None:
    """A digest of what a conversation begins with: the same in each of its turns, and what a provider keeps of it.

    Text alone counts: marks such as ``cache_control`` move on from turn to turn.
    """
    if request.operation is not Operation.CHAT:
        return None
    try:
        messages = request.chat.messages
    except InvalidRequestError:
        return None
    digest, said = hashlib.blake2b(digest_size=16), False
    for message in messages:
        text = message.text
        said = said or bool(text)
        digest.update(f"{message.role.value}\0{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
        if message.role is Role.USER:
            break
    return digest.hexdigest() if said else None
