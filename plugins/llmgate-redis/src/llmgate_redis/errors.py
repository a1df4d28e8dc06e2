"""What a caller is told when the server does not do what it is asked."""

from __future__ import annotations

from llmgate.spec import GatewayError

__all__ = ["StateUnavailableError"]


class StateUnavailableError(GatewayError):
    """The server cannot be reached, is too slow, or refuses the command (503).

    ``retry_after`` is set while the breaker is open. Whether a request is refused or served because of it is decided by
    the stage that asked, not by the store.
    """

    status_code = 503
    default_code = "state_store_unavailable"
