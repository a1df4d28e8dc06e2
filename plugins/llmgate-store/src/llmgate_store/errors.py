"""What a caller is told when the database does not do what it is asked."""

from __future__ import annotations

from llmgate.spec import GatewayError

__all__ = ["StoreUnavailableError"]


class StoreUnavailableError(GatewayError):
    """The database cannot be reached, is too slow, or refuses what it is asked (503)."""

    status_code = 503
    default_code = "store_unavailable"
