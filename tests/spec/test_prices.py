"""What a usage costs: every kind of unit, by date, time of day, tier and length; unknown is not 0."""

from __future__ import annotations

import datetime as dt

import attrs
import pytest
from hypothesis import given, strategies as st

from llmgate.spec import Price, PriceRow, Rates, Usage

RATES = Rates(
    input=100,
    output=1000,
    cache_read=10,
    cache_write=125,
    cache_write_1h=200,
    reasoning=1500,
    audio_input=400,
    audio_output=3000,
    image_input=300,
    image_output=7000,
    cache_read_audio=20,
    cache_read_image=30,
    audio_hour=3_600_000,
    audio_least=10,
    image=50_000,
    search_unit=2_000,
    web_search=9_000,
    request=7,
)
TOKENS = Rates(input=100, output=1000)
NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("usage", "pico"),
    [
        (Usage(input_tokens=0, output_tokens=0), 7),
        (Usage(input_tokens=50, output_tokens=3), 50 * 100 + 3 * 1000 + 7),
        (Usage(input_tokens=50, output_tokens=3, cache_read=40), 10 * 100 + 40 * 10 + 3000 + 7),
        (
            Usage(input_tokens=50, output_tokens=0, cache_read=20, cache_write_5m=10, cache_write_1h=5),
            15 * 100 + 20 * 10 + 10 * 125 + 5 * 200 + 7,
        ),
        (Usage(input_tokens=50, output_tokens=9, reasoning=4), 5000 + 5 * 1000 + 4 * 1500 + 7),
        (Usage(input_tokens=50, output_tokens=9, audio_input=20), 30 * 100 + 20 * 400 + 9000 + 7),
        (Usage(input_tokens=50, output_tokens=9, audio_output=9), 5000 + 9 * 3000 + 7),
        (
            Usage(input_tokens=50, output_tokens=0, audio_input=20, cache_read=25, cache_read_audio=15),
            20 * 100 + 5 * 400 + 10 * 10 + 15 * 20 + 7,
        ),
        (Usage(input_tokens=50, output_tokens=9, image_input=20, image_output=8), 30 * 100 + 6000 + 1000 + 56000 + 7),
        (Usage(input_tokens=1, output_tokens=0, images=2, search_units=3, web_searches=1), 100 + 115_000 + 7),
        (Usage(input_tokens=0, output_tokens=0, audio_seconds=90.0), 90_000 + 7),
        (Usage(input_tokens=0, output_tokens=0, audio_seconds=2.5), 10_000 + 7),
    ],
)
def test_every_unit_has_its_price(usage: Usage, pico: int) -> None:
    assert RATES.of(usage) == pico


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=50, output_tokens=9, cache_read=40, cache_write_5m=5, cache_write_1h=5),
        Usage(input_tokens=50, output_tokens=9, reasoning=4),
        Usage(input_tokens=50, output_tokens=9, audio_input=50, audio_output=9),
        Usage(input_tokens=50, output_tokens=9, image_input=50, image_output=9),
    ],
)
def test_a_kind_without_a_price_costs_what_it_is_part_of(usage: Usage) -> None:
    assert TOKENS.of(usage) == 50 * 100 + 9 * 1000


def test_writing_for_an_hour_costs_what_writing_costs_where_it_has_no_price() -> None:
    rates = Rates(input=100, output=1000, cache_write=125)
    assert rates.of(Usage(input_tokens=10, output_tokens=0, cache_write_1h=10)) == 1250


@pytest.mark.parametrize(
    ("rates", "usage"),
    [
        (TOKENS, Usage(output_tokens=3)),
        (TOKENS, Usage(input_tokens=3)),
        (TOKENS, Usage()),
        (Rates(input=100), Usage(input_tokens=3, output_tokens=1)),
        (Rates(output=100), Usage(input_tokens=3, output_tokens=1)),
        (Rates(), Usage(input_tokens=3, output_tokens=1)),
        (Rates(audio_hour=5), Usage(input_tokens=3, output_tokens=1)),
        (Rates(image=5), Usage(search_units=3)),
        (TOKENS, Usage(input_tokens=3, output_tokens=1, web_searches=1)),
    ],
)
def test_what_is_not_known_or_has_no_price_is_unknown(rates: Rates, usage: Usage) -> None:
    assert rates.of(usage) is None


@pytest.mark.parametrize(
    ("rates", "usage", "pico"),
    [
        (Rates(input=100), Usage(input_tokens=3), 300),  # embeddings
        (Rates(input=100, output=0), Usage(input_tokens=3), 300),
        (Rates(input=0, output=0), Usage(), 0),  # free, whatever it takes
        (Rates(image=5), Usage(images=3), 15),
        (Rates(image=5), Usage(images=3, input_tokens=9), 15),  # tokens that nobody bills
        (TOKENS, Usage(input_tokens=3, output_tokens=1, web_searches=0), 1300),
    ],
)
def test_what_has_no_price_and_is_not_used_does_not_matter(rates: Rates, usage: Usage, pico: int) -> None:
    assert rates.of(usage) == pico


COUNT = st.none() | st.integers(min_value=0, max_value=10**12)
ANY_USAGE = st.builds(
    Usage,
    **{field.name: COUNT for field in attrs.fields(Usage) if field.name not in {"estimated", "audio_seconds"}},
    audio_seconds=st.none() | st.floats(min_value=0, max_value=1e9),
)
RATE = st.none() | st.integers(min_value=0, max_value=10**12)
ANY_RATES = st.builds(Rates, **{field.name: RATE for field in attrs.fields(Rates) if field.name != "audio_least"})


@given(ANY_RATES, ANY_USAGE)
def test_whatever_a_provider_counts_the_cost_is_never_negative(rates: Rates, usage: Usage) -> None:
    cost = rates.of(usage)
    assert cost is None or cost >= 0


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=0, max_value=10**9))
def test_more_cached_than_given_is_not_cheaper_than_all_cached(given_: int, cached: int) -> None:
    usage = Usage(input_tokens=given_, output_tokens=0, cache_read=cached)
    assert RATES.of(usage) >= given_ * 10  # type: ignore[operator]


def at(text: str) -> float:
    return dt.datetime.fromisoformat(f"{text}+00:00").timestamp()


def test_a_price_changes_with_the_date() -> None:
    price = Price((PriceRow(Rates(input=1)), PriceRow(Rates(input=2), since=at("2026-02-01"))))
    assert price.row(at("2026-01-31 23:59:59")).rates.input == 1  # type: ignore[union-attr]
    assert price.row(at("2026-02-01")).rates.input == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("daily", "inside", "outside"),
    [
        ((3600, 7200), ["01:00:00", "01:59:59"], ["00:59:59", "02:00:00"]),
        ((82_800, 3600), ["23:00:00", "00:00:00", "00:59:59"], ["01:00:00", "22:59:59"]),
    ],
)
def test_a_price_changes_with_the_time_of_day(daily: tuple[int, int], inside: list[str], outside: list[str]) -> None:
    price = Price((PriceRow(Rates(input=1)), PriceRow(Rates(input=2), daily=daily)))
    assert all(price.row(at(f"2026-05-05 {one}")).rates.input == 2 for one in inside)  # type: ignore[union-attr]
    assert all(price.row(at(f"2026-05-05 {one}")).rates.input == 1 for one in outside)  # type: ignore[union-attr]


def test_longer_input_costs_more_for_the_whole_request() -> None:
    price = Price((PriceRow(Rates(input=1000), longer=((200, Rates(input=2000)), (500, Rates(input=5000)))),))
    cost = {count: price.cost(Usage(input_tokens=count), NOON) for count in (200, 201, 500, 501)}
    assert cost == {200: 200, 201: 402, 500: 1000, 501: 2505}


@pytest.mark.parametrize("tier", [None, "", "default", "standard", "auto", "on_demand"])
def test_the_usual_tier_has_many_names(tier: str | None) -> None:
    price = Price((PriceRow(Rates(input=1000)), PriceRow(Rates(input=500), tier="flex")))
    assert price.cost(Usage(input_tokens=3), NOON, tier) == 3


def test_a_tier_has_its_price_and_one_without_is_unknown() -> None:
    price = Price((PriceRow(Rates(input=2000)), PriceRow(Rates(input=1000), tier="flex")))
    assert price.cost(Usage(input_tokens=3), NOON, "FLEX") == 3
    assert price.cost(Usage(input_tokens=3), NOON, "priority") is None


def test_a_cost_is_rounded_once() -> None:
    price = Price((PriceRow(Rates(input=400, output=400)),))
    assert price.cost(Usage(input_tokens=1, output_tokens=1), NOON) == 1  # 800 pico, not 0 and 0
