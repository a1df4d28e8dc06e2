from __future__ import annotations

from llmgate.telemetry.ids import Tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{SPAN}-00"}


def test_a_callers_trace_goes_on_where_that_is_wanted() -> None:
    trace = Tracing(sampling=1, carried=True).begin(HEADERS)
    assert (trace.trace_id, trace.parent_id, trace.sampled, trace.carried) == (TRACE, SPAN, False, True)
    alone = Tracing(sampling=1, carried=False).begin(HEADERS)
    assert alone.trace_id != TRACE
    assert (alone.parent_id, alone.sampled, alone.carried) == ("", True, False)


def test_ids_are_new_each_time() -> None:
    tracing = Tracing(sampling=1, carried=True)
    traces = [tracing.begin({}) for _ in range(200)]
    assert len({trace.trace_id for trace in traces} | {trace.span_id for trace in traces}) == 400


def test_so_many_traces_are_exported_as_was_asked() -> None:
    assert not any(Tracing(sampling=0, carried=False).begin({}).sampled for _ in range(200))
    share = sum(Tracing(sampling=0.25, carried=False).begin({}).sampled for _ in range(20_000)) / 20_000
    assert abs(share - 0.25) < 0.02  # more than six standard deviations
