from __future__ import annotations

from multidict import CIMultiDict

from llmgate.wire.headers import lowered


def test_names_are_lower_case_repeats_joined_and_odd_bytes_kept_as_latin_1():
    headers = CIMultiDict([("X-One", "a"), ("x-one", "b"), ("X-Two", b"\xe9".decode("utf-8", "surrogateescape"))])
    assert lowered(headers) == {"x-one": "a, b", "x-two": "é"}
