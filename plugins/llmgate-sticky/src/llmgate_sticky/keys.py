"""What a request is kept together by."""

from __future__ import annotations

from llmgate.formats import get_format
from llmgate.spec import ExchangeView, GatewayRequest, InvalidRequestError

__all__ = ["key_of"]


def key_of(view: ExchangeView, by: str) -> str | None:
    """The key of a request, None when it has none.

    Args:
        view: The exchange.
        by: ``user``, ``principal``, or the name of a label.
    """
    if by == "principal":
        return f"{view.principal.issuer}\n{view.principal.id}"
    if by == "user":
        return _user_of(view.request) or None
    return view.request.metadata.get(by) or None


def _user_of(request: GatewayRequest) -> str | None:
    """The caller's name for its end user, without decoding more of the body than its top level."""
    if "user" in request.edits:
        edited: str | None = request.edits["user"]
        return edited
    try:
        return get_format(request.format).peek(request.body).user
    except (InvalidRequestError, KeyError):
        return None  # not a body that could name one
