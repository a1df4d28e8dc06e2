from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from llmgate.formats.thought_signatures import marked_id, signature_in, signed, unmarked_id

SIGNATURE = "CisB+/4pZw0abc_-=="


def test_a_signature_stands_where_googles_compatible_endpoint_has_it():
    extra = signed(SIGNATURE)
    assert extra == {"extra_content": {"google": {"thought_signature": SIGNATURE}}}
    assert signature_in({"a": 1, **extra}) == SIGNATURE
    assert signed(None) == signed("") == {}


@pytest.mark.parametrize("extra", [{}, {"extra_content": 1}, {"extra_content": {"google": {"thought_signature": ""}}}])
def test_nothing_is_no_signature(extra):
    assert signature_in(extra) is None
    assert marked_id("call_1", extra) == "call_1"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_an_id_carries_any_signature_there_and_back(signature):
    marked = marked_id("call_1", signed(signature))
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", marked)
    assert unmarked_id(marked) == ("call_1", signature)


@pytest.mark.parametrize("call_id", ["", "call_1", "a__thought__", "a__thought__*", "a__thought__/w", "a__thought___w"])
def test_other_ids_stay_as_they_are(call_id):
    assert unmarked_id(call_id) == (call_id, None)
