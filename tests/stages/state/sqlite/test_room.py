"""The bounds of the file: counted as things come and go, and kept."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st

from llmgate.spec import Place, Rate, Units


def counted(file):
    kinds = ("counters", "rates", "leases", "vals", "once", "messages")
    entries = sum(file.execute(f"SELECT count(*) FROM {kind}").fetchone()[0] for kind in kinds)
    size = file.execute("SELECT coalesce(sum(length(key) + length(value)), 0) FROM vals").fetchone()[0]
    return entries, size


def totals(file):
    return file.execute("SELECT entries, size FROM totals").fetchone()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "add", "claim", "back", "lease", "publish", "wait"]),
        st.sampled_from("abcd"),
        st.integers(1, 30),
    ),
    max_size=25,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_what_there_is_is_counted_and_bounded(open_store, clock, steps):
    store = await open_store(max_entries=12, max_size=60)
    for what, key, number in steps:
        match what:
            case "put":
                await store.put(key, b"x" * number, ttl=float(number))
            case "delete":
                await store.delete(key)
            case "add":
                await store.add(key, number, ttl=float(number))
            case "claim":
                await store.claim((Units(key, Rate(10, 5), number % 10), Place(key, f"{number}", 3, number)))
            case "back":
                await store.give_back((Units(key, Rate(10, 5), number), Place(key, f"{number}", 3, number)))
            case "lease":
                await store.lease(key, f"{number}", limit=2, ttl=number)
            case "publish":
                await store.publish(key, b"m")
            case _:
                clock.advance(number)
        entries, size = await store._database.run(counted)
        assert (entries, size) == await store._database.run(totals)
        assert size <= 60
    await store._database.run(lambda file: store._room.sweep(file, clock.now() + 1e6, most=None))
    await store.aclose()


async def test_what_has_ended_goes_before_what_lives(open_store, clock):
    store = await open_store(max_entries=3)
    await store.put("lives", b"1")
    await store.put("ends", b"1", ttl=5)
    await store.lease("ends", "h", limit=1, ttl=5)
    clock.advance(6)
    await store.put("new", b"1")
    assert await store.get("lives") == b"1"


async def test_a_value_larger_than_the_store_is_not_kept_and_drives_none_out(open_store):
    store = await open_store(max_size=20)
    await store.put("a", b"x" * 10)
    await store.put("b", b"x" * 30)
    assert (await store.get("a"), await store.get("b")) == (b"x" * 10, None)


async def test_the_file_shrinks_again(open_store, clock, tmp_path):
    store = await open_store()
    for number in range(200):
        await store.put(f"{number}", b"x" * 10_000, ttl=5)
    clock.advance(20)
    for _ in range(20):
        clock.advance(20)
        await store.put("a", b"")
    await store._database.run(lambda file: file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall(), writes=False)
    assert (tmp_path / "state.db").stat().st_size < 500_000
