from __future__ import annotations

import pytest

from llmgate.spec import TraceContext, read_trace_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f" 00-{TRACE}-{SPAN}-03 ", True),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_callers_place_in_a_trace_is_read(text: str, sampled: bool) -> None:
    headers = {"traceparent": text, "tracestate": "vendor=a"}
    assert read_trace_parent(headers) == (TRACE, SPAN, sampled, "vendor=a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\r\nx: y",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_what_does_not_follow_the_standard_is_no_place(text: str) -> None:
    assert read_trace_parent({"traceparent": text}) is None


def test_a_state_that_is_too_long_is_left_out() -> None:
    read = read_trace_parent({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a" * 600})
    assert read is not None
    assert read[3] == ""


def test_providers_are_told_only_where_the_trace_goes_on() -> None:
    assert TraceContext(TRACE, SPAN).headers("00f067aa0ba902b8") == {}
    carried = TraceContext(TRACE, SPAN, sampled=False, state="a=b", carried=True)
    assert carried.headers("00f067aa0ba902b8") == {
        "traceparent": f"00-{TRACE}-00f067aa0ba902b8-00",
        "tracestate": "a=b",
    }
