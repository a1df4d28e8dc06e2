"""Where an exchange stands in a distributed trace, in the words of W3C Trace Context."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import attrs

__all__ = ["TraceContext", "read_trace_parent"]

_PARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_STATE: Final = 512
_SAMPLED: Final = 1


@attrs.frozen(slots=False)
class TraceContext:
    """The place of an exchange in a trace.

    Args:
        trace_id: 32 hex digits.
        span_id: The exchange's own span, 16 hex digits.
        parent_id: The span of whoever asked, ``""`` where the trace begins here.
        sampled: Whether its spans are exported.
        state: ``tracestate`` as the caller gave it.
        carried: Whether providers are told.
    """

    trace_id: str
    span_id: str
    parent_id: str = ""
    sampled: bool = True
    state: str = ""
    carried: bool = False

    def headers(self, span_id: str) -> Mapping[str, str]:
        """What a request beneath one of the trace's spans carries to a provider; nothing where none is told."""
        if not self.carried:
            return {}
        parent = {"traceparent": f"00-{self.trace_id}-{span_id}-{'01' if self.sampled else '00'}"}
        return {**parent, "tracestate": self.state} if self.state else parent


def read_trace_parent(headers: Mapping[str, str]) -> tuple[str, str, bool, str] | None:
    """The caller's own place in a trace.

    Args:
        headers: The request's, names in lower case.

    Returns:
        The ids of the trace and of the caller's span, whether it is sampled, and ``tracestate``; None where there is
        none, or what there is does not follow the standard (W3C Trace Context, section 3.2).
    """
    match = _PARENT.fullmatch(headers.get("traceparent", "").strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (more and version == "00") or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    state = headers.get("tracestate", "")
    return trace_id, span_id, bool(int(flags, 16) & _SAMPLED), state if len(state) <= _LONGEST_STATE else ""
