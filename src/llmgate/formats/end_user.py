"""Who a request is for, as its caller says."""

from __future__ import annotations

from llmgate.spec import GatewayRequest, InvalidRequestError

from . import get_format

__all__ = ["end_user_of"]


def end_user_of(request: GatewayRequest) -> str | None:
    """The caller's name for its end user, without decoding more of the body than its top level; None for none.

    Args:
        request: What is asked, with every edit.
    """
    if "user" in request.edits:
        edited: str | None = request.edits["user"]
        return edited or None
    try:
        return get_format(request.format).peek(request.body).user or None
    except (InvalidRequestError, KeyError):
        return None  # not a body that could name one
