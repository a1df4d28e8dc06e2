from __future__ import annotations

import attrs
import pytest

from llmgate.spec import Record, Usage
from llmgate.telemetry.measurements import INSTRUMENTS, Measure, Names
from llmgate.testing.samples import sample_record


def read(record: Record, measure: Measure | None = None) -> dict[str, list[tuple[float, tuple[str, ...]]]]:
    found: dict[str, list[tuple[float, tuple[str, ...]]]] = {}
    for one in (measure or Measure(50)).read(record):
        assert len(one.labels) == len(one.instrument.labels)
        found.setdefault(one.instrument.name, []).append((one.value, tuple(one.labels)))
    return found


def failed(record: Record, code: str = "provider_timeout") -> Record:
    (attempt,) = record.attempts
    first = attrs.evolve(attempt, error_code=code, usage=None, first_content=None, deployment="beta/x", model="x")
    return attrs.evolve(record, attempts=(first, attempt))


def test_a_record_says_its_part_to_every_instrument_it_concerns() -> None:
    found = read(sample_record(stream=True))
    assert found["llmgate.exchanges"] == [(1, ("openai", "chat", "", "ok", "200"))]
    assert found["gen_ai.client.token.usage"] == [
        (9, ("chat", "", "gpt-4o-mini", "input")),
        (3, ("chat", "", "gpt-4o-mini", "output")),
    ]
    assert found["gen_ai.client.operation.duration"] == [(0.4, ("chat", "", "gpt-4o-mini", ""))]
    ((first, _),) = found["gen_ai.client.operation.time_to_first_chunk"]
    assert first == pytest.approx(0.199)
    ((each, _),) = found["gen_ai.server.time_per_output_token"]
    assert each == pytest.approx((0.4 - 0.199) / 2)


def test_an_attempt_that_failed_counts_as_one_and_has_no_tokens() -> None:
    found = read(failed(sample_record()))
    assert [labels for _, labels in found["llmgate.attempts"]] == [
        ("openai", "other", "provider_timeout"),
        ("openai", "gpt-4o-mini", ""),
    ]
    assert len(found["gen_ai.client.token.usage"]) == 2


def test_tokens_that_nobody_has_told_are_not_none_of_them() -> None:
    record = sample_record()
    silent = attrs.evolve(record.attempts[0], usage=Usage(output_tokens=3))
    found = read(attrs.evolve(record, attempts=(silent,)))
    assert [labels[-1] for _, labels in found["gen_ai.client.token.usage"]] == ["output"]


def test_what_is_not_known_to_cost_anything_is_not_counted_as_nothing() -> None:
    record = sample_record()
    unknown = attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], cost_nano=None),))
    assert "llmgate.cost.nano_usd" not in read(unknown)
    paid = attrs.evolve(record, attempts=(attrs.evolve(record.attempts[0], cost_nano=1250),))
    assert read(paid)["llmgate.cost.nano_usd"] == [(1250, ("openai", "chat", "", "gpt-4o-mini"))]


def test_what_a_cache_and_a_limit_have_said_is_counted_by_their_words() -> None:
    found = read(sample_record(cache="hit", limit="refused: requests of the key k-1"))
    assert found["llmgate.cache.lookups"] == [(1, ("hit",))]
    assert found["llmgate.limits"] == [(1, ("refused",))]
    assert read(sample_record(cache="said by a plugin"))["llmgate.cache.lookups"] == [(1, ("other",))]
    assert not {"llmgate.cache.lookups", "llmgate.limits"} & set(read(sample_record(cache=None, limit=None)))


def test_names_that_callers_choose_do_not_grow_the_labels() -> None:
    measure, labels = Measure(50), set()
    for number in range(10_000):
        record = sample_record()
        attempt = attrs.evolve(record.attempts[0], model=f"model-{number}")
        record = attrs.evolve(record, attempts=(attempt,), router=f"router-{number}")
        labels |= {label for values in read(record, measure).values() for _, label in values}
    assert len({model for label in labels if (model := label[2:3]) and model[0].startswith("model-")}) == 50
    assert len({label[2] for label in labels if len(label) == 5}) == 51


def test_a_name_is_known_once_somebody_has_answered_to_it() -> None:
    names = Names(1)
    assert names.label("a", proven=False) == "other"
    assert names.label("a", proven=True) == "a"
    assert names.label("a", proven=False) == "a"
    assert names.label("b", proven=True) == "other"
    assert names.label(None, proven=True) == ""


def test_instruments_have_names_and_labels_of_their_own() -> None:
    assert len({one.name for one in INSTRUMENTS}) == len(INSTRUMENTS)
    for one in INSTRUMENTS:
        assert len(set(one.labels)) == len(one.labels)
        assert list(one.buckets) == sorted(set(one.buckets))
