"""The table forgets in time, in order, and does not hoard."""

from __future__ import annotations

import math

from hypothesis import given, strategies as st

from llmgate.stages.state.memory.expiring import EndingTable, Entry, ExpiringTable

OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["put", "pop", "get", "sweep"]), st.integers(0, 5), st.integers(1, 20)), max_size=80
)


@given(OPERATIONS)
def test_it_is_a_dict_whose_entries_end(operations):
    table, model, now = ExpiringTable(), {}, 0.0
    for number, (what, key, seconds) in enumerate(operations):
        now += 1
        if what == "put":
            table.put(key, number, now + seconds)
            model[key] = (number, now + seconds)
        elif what == "pop":
            table.pop(key)
            model.pop(key, None)
        elif what == "sweep":
            table.sweep(now, most=None)
        model = {name: entry for name, entry in model.items() if entry[1] > now}
        for name in range(6):
            assert table.get(name, now) == model.get(name, (None,))[0]
    table.sweep(math.inf, most=None)
    assert len(table) == 0


def test_an_end_may_be_moved_either_way():
    table = ExpiringTable()
    table.put("later", 1, 10)
    table.put("later", 1, 20)
    table.put("sooner", 1, 1000)
    table.put("sooner", 1, 5)
    table.sweep(12, most=None)
    assert len(table) == 1
    assert table.get("later", 12) == 1
    table.sweep(20, most=None)
    assert len(table) == 0


def test_what_never_ends_is_never_swept():
    table = ExpiringTable()
    table.put("a", 1, math.inf)
    table.sweep(1e18, most=None)
    assert table.get("a", 1e18) == 1


def test_a_sweep_is_small_and_enough():
    table = ExpiringTable()
    for number in range(100):
        table.put(number, number, 10)
    table.sweep(10)
    assert 50 < len(table) < 100
    for number in range(100, 200):
        table.put(number, number, 1000)
        table.sweep(11)
    assert len(table) == 100


def test_the_schedule_does_not_grow_with_keys_that_come_and_go():
    table = ExpiringTable()
    for number in range(10_000):
        table.put("a", number, 1e9 - number)
        table.pop("a")
    assert len(table.schedule) < 200


def test_the_oldest_is_the_one_used_longest_ago():
    table = ExpiringTable()
    for key in "abc":
        table.put(key, key, math.inf)
    table.get("a", 0)
    table.pop_oldest()
    assert [table.get(key, 0) for key in "abc"] == ["a", None, "c"]


def test_the_weight_is_that_of_what_is_there():
    table = ExpiringTable(lambda key, value: len(key) + value)
    table.put("a", 10, 5.0)
    table.put("bb", 20, 50.0)
    assert table.weight == 33
    table.put("a", 1, 5.0)
    assert table.weight == 24
    assert table.get("a", 6.0) is None
    assert table.weight == 22
    table.put("c", 5, 7.0)
    table.sweep(8.0, most=None)
    assert table.weight == 22
    table.pop("bb")
    table.pop("bb")
    assert table.weight == 0
    table.put("d", 5, 9.0)
    table.pop_oldest()
    assert table.weight == 0
    table.put("d", 5, 9.0)
    table.clear()
    assert table.weight == 0


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.001, 3.0), st.floats(0.0, 2.0)), max_size=60),
    st.sampled_from([0.0, 1e9, 2.0**53]),
)
def test_what_lingers_goes_when_its_room_is_needed(renewals, start):
    """However coarse the numbers of the time are: a whole sweep ends, and leaves what has not ended."""
    table, now = EndingTable(linger=1.0), start
    for key, seconds, passed in renewals:
        now += passed
        table.sweep(now)
        entry = table.entries.get(key) or Entry(now)
        entry.expires = now + seconds
        table.keep(key, entry)
    alive = {key for key, entry in table.entries.items() if entry.expires > now}
    table.sweep(now, most=None)
    assert set(table.entries) == alive
    table.sweep(math.inf, most=None)
    assert len(table) == 0


def test_what_is_renewed_is_scheduled_once_in_a_while():
    table, pushed = EndingTable(linger=1.0), 0
    table.keep("a", Entry(0.001))
    for number in range(1, 1000):
        before = table.schedule[0]
        table.sweep(number / 100)
        entry = table.entries.get("a") or Entry(0.0)
        entry.expires = number / 100 + 0.001
        table.keep("a", entry)
        pushed += table.schedule[0] is not before
    assert pushed <= 10
