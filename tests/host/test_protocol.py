from __future__ import annotations

import h11
from hypothesis import given, settings, strategies as st

from llmgate.host.headers import JSON_HEADERS
from llmgate.host.protocol import are_plain

NAMES = st.sampled_from([b"a", b"x-y", b"content-type", b"A", b"a b", b"", b"a\n", b"a:b", b"x_y"])
VALUES = st.sampled_from(
    [b"1", b"a b", b"text/html; q=0.1", b"", b" a", b"a ", b"a\tb", b"a\nb: c", b"a\r", b"\x00", b"\xe9"]
)


@settings(max_examples=300)
@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_headers_that_h11_need_not_look_at_are_headers_that_it_lets_through(headers):
    if are_plain(headers):
        looked_at = h11.Response(status_code=200, headers=headers)
        assert h11.Response(status_code=200, headers=headers, _parsed=True) == looked_at
        assert looked_at.headers.raw_items() == headers


def test_headers_as_answers_have_them_need_no_look():
    plain = [*JSON_HEADERS, (b"x-request-id", b"0198-abc_D"), (b"date", b"Sat, 01 Nov 2025 10:00:00 GMT")]
    assert are_plain(plain)
    for spoilt in ((b"x", b"1\r\ny: 2"), (b"x", b"\xff"), (b"x\n", b"1"), (b"X", b"1")):
        assert not are_plain([*plain, spoilt])
