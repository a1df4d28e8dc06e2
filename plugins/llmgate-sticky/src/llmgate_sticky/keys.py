"""What a request is kept together by."""

from __future__ import annotations

from llmgate.formats.end_user import end_user_of
from llmgate.spec import ExchangeView

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
        return end_user_of(view.request)
    return view.request.metadata.get(by) or None
