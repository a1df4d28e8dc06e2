"""Where traces begin: ids, and which of them are exported."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from llmgate.spec import TraceContext, read_trace_parent

__all__ = ["Tracing"]

_LOW: Final = 1 << 64


class Tracing:
    """Gives exchanges their place in a trace, before anything is known of them.

    Spans are made of records, when all is over; their ids must be there before, for providers to be told.

    Args:
        sampling: Which share of the traces that begin here is exported; those of callers are where they say so.
        carried: Whether callers' traces go on here, and providers are told.
    """

    def __init__(self, *, sampling: float, carried: bool) -> None:
        self._bound = round(sampling * _LOW)
        self._carried = carried

    def begin(self, headers: Mapping[str, str]) -> TraceContext:
        """The place of an exchange whose request has such headers."""
        parent = read_trace_parent(headers) if self._carried else None
        if parent is not None:
            trace_id, parent_id, sampled, state = parent
            return TraceContext(trace_id, self.span_id(), parent_id, sampled, state, carried=True)
        trace_id = f"{_number(128):032x}"
        # As OpenTelemetry's TraceIdRatioBased sampler decides, so that others along the way decide alike.
        sampled = int(trace_id[16:], 16) < self._bound
        return TraceContext(trace_id, self.span_id(), sampled=sampled, carried=self._carried)

    @staticmethod
    def span_id() -> str:
        """A new id for a span."""
        return f"{_number(64):016x}"


def _number(bits: int) -> int:
    """A number by chance that is not 0, as OpenTelemetry's SDK draws it; after a fork Python seeds it anew."""
    return random.getrandbits(bits) or 1  # ids are no secrets: the kernel need not be asked for each
