"""A window counts what a list of everything would."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from llmgate.pipeline.window import Window


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=80))
def test_the_window_counts_what_a_list_would(steps: list[tuple[int, bool]]) -> None:
    window, slot, seen = Window(5), 3, []
    for passed, failed in steps:
        slot += passed
        window.add(slot, failed=failed)
        seen.append((slot, failed))
        within = [bad for at, bad in seen if at > slot - 5]
        assert (window.requests, window.errors) == (len(within), sum(within))


def test_what_is_too_old_falls_out_without_a_further_request() -> None:
    window = Window(5)
    window.add(10, failed=True)
    window.turn(14)
    assert (window.requests, window.errors) == (1, 1)
    window.turn(15)
    assert (window.requests, window.errors) == (0, 0)
    window.turn(3)
    window.add(3, failed=False)
    assert (window.requests, window.errors) == (1, 0), "a clock that goes back a little does no harm"
