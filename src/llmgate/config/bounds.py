"""The bounds of numbers: a field's metadata (``minimum``, ``maximum``, ``above``), or the table of our own classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from llmgate.spec import Timeouts

from .model import (
    GatewayConfig,
    HealthConfig,
    RetryBudgetConfig,
    RetryConfig,
    ServerConfig,
    SessionConfig,
    StreamConfig,
    TelemetryConfig,
)

__all__ = ["Bounds", "bounds_of"]


@attrs.frozen
class Bounds:
    """What a number may be.

    Args:
        minimum: The least allowed value.
        maximum: The greatest allowed value.
        above: A value that must be exceeded.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None

    def allow(self, value: float) -> bool:
        """Whether the value is within the bounds."""
        return not (
            (self.minimum is not None and value < self.minimum)
            or (self.maximum is not None and value > self.maximum)
            or (self.above is not None and value <= self.above)
        )

    def __str__(self) -> str:
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        parts = [("at least", self.minimum), ("more than", self.above), ("at most", self.maximum)]
        return " and ".join(f"{word} {value:g}" for word, value in parts if value is not None)


_WAIT: Final = Bounds(above=0, maximum=7 * 86400)
_COUNT: Final = Bounds(minimum=1, maximum=2**40)

_TABLE: Final[Mapping[type[Any], Mapping[str, Bounds]]] = {
    Timeouts: dict.fromkeys(("connect", "first_byte", "idle", "total", "first_content"), _WAIT),
    TelemetryConfig: {"sampling": Bounds(minimum=0, maximum=1), "max_models": Bounds(minimum=1, maximum=10_000)},
    StreamConfig: {
        "commit_after": _WAIT,
        "heartbeat": _WAIT,
        "max_event_bytes": _COUNT,
        "drain_timeout": Bounds(above=0, maximum=3600),
        "drain_bytes": _COUNT,
        "max_drains": Bounds(minimum=0, maximum=100_000),
    },
    GatewayConfig: {"credential_cool_down": Bounds(minimum=0, maximum=86400)},
    HealthConfig: {
        "ratio": Bounds(minimum=0, maximum=1),
        "window": Bounds(minimum=1, maximum=3600),
        "buckets": Bounds(minimum=1, maximum=1000),
        "interval": Bounds(above=0, maximum=3600),
        "min_requests": Bounds(minimum=1, maximum=100_000),
        "max_rest": Bounds(minimum=0, maximum=86400),
        "refuse_ratio": Bounds(minimum=0, maximum=1),
        "probe_interval": Bounds(minimum=0, maximum=86400),
        "probe_timeout": Bounds(above=0, maximum=60),
    },
    RetryBudgetConfig: {
        "ratio": Bounds(minimum=0, maximum=100),
        "floor": Bounds(minimum=0, maximum=1_000_000),
        "window": Bounds(minimum=1, maximum=3600),
    },
    SessionConfig: {"total": _WAIT, "idle": _WAIT, "heartbeat": _WAIT, "max_message_bytes": _COUNT},
    RetryConfig: {
        "max_retries": Bounds(minimum=0, maximum=100),
        "min_delay": Bounds(minimum=0, maximum=86400),
        "max_delay": Bounds(minimum=0, maximum=86400),
        "factor": Bounds(minimum=1, maximum=1000),
    },
    ServerConfig: {
        "port": Bounds(minimum=0, maximum=65535),
        "workers": Bounds(minimum=1, maximum=256),
        "shutdown_grace": Bounds(minimum=0, maximum=3600),
        "shutdown_timeout": Bounds(minimum=0, maximum=86400),
        "watch": Bounds(minimum=0, maximum=86400),
        "max_body_bytes": _COUNT,
        "max_upload_bytes": _COUNT,
        "max_spool_bytes": _COUNT,
        "max_headers": _COUNT,
        "max_header_bytes": _COUNT,
        "body_timeout": _WAIT,
        "body_rate": Bounds(minimum=0),
        "max_concurrent_requests": _COUNT,
        "max_queued_requests": Bounds(minimum=0, maximum=1_000_000),
        "queue_timeout": _WAIT,
        "refusal_records": Bounds(minimum=0, maximum=100_000),
        "send_timeout": _WAIT,
        "backlog": Bounds(minimum=1, maximum=2**31 - 1),
        "max_requests_per_connection": _COUNT,
        "keep_alive_timeout": _WAIT,
    },
}


def bounds_of(cls: type[Any], field: attrs.Attribute[Any]) -> Bounds | None:
    """The bounds of a field, None when it has none."""
    given = {name: field.metadata[name] for name in ("minimum", "maximum", "above") if name in field.metadata}
    return Bounds(**given) if given else _TABLE.get(cls, {}).get(field.name)
