"""What records add up to, and the words by which they are grouped."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import attrs
import pytest

from llmgate.spec import DIMENSIONS, Tally, Usage, client_of, is_counted, period_of, value_in, zone_named
from llmgate.testing.samples import sample_record


def test_a_tally_counts_what_is_known_and_what_is_not():
    tally = Tally()
    usage = Usage(10, 5, cache_read=3, cache_write_5m=2, cache_write_1h=1, reasoning=4)
    tally.add(sample_record(usage=usage, cost_nano=7, duration=2.0, first_content=0.5, cache=None))
    tally.add(sample_record(usage=None, cost_nano=None, duration=1.0, first_content=None, outcome="error", cache="hit"))
    assert (tally.requests, tally.errors, tally.cache_hits) == (2, 1, 1)
    assert (tally.input_tokens, tally.output_tokens, tally.cache_read, tally.cache_write, tally.reasoning) == (
        10,
        5,
        3,
        3,
        4,
    )
    assert (tally.cost_nano, tally.cost_unknown, tally.duration_us) == (7, 1, 3_000_000)
    assert (sum(tally.durations.values()), sum(tally.first_contents.values())) == (2, 1)
    shown = tally.as_json()
    assert (shown["cost_usd"], shown["error_rate"], shown["duration_seconds"]["mean"]) == ("0.000000007", 0.5, 1.5)
    assert shown["first_content_seconds"]["p99"] == pytest.approx(0.5, rel=0.05)


def test_tallies_merge():
    one, two, both = Tally(), Tally(), Tally()
    for record, part in ((sample_record(duration=1.0), one), (sample_record(duration=9.0, cost_nano=5), two)):
        part.add(record)
        both.add(record)
    one.merge(two)
    assert one == both
    assert Tally().as_json()["duration_seconds"]["p50"] is None


def test_every_dimension_has_a_value_or_none():
    record = sample_record(
        user="u", team="t", key_id="k", router="r", user_agent="curl/8.1", properties={"env": "prod"}
    )
    values = {name: value_in(record, name) for name in DIMENSIONS}
    last = record.attempts[-1]
    assert (values["model"], values["provider"], values["credential"]) == (
        last.model,
        last.provider_name,
        last.credential_ref,
    )
    assert (values["user"], values["team"], values["key"], values["client"]) == ("u", "t", "k", "curl")
    assert value_in(record, "property:ENV") == "prod"
    assert value_in(record, "property:other") is None
    refused = attrs.evolve(record, attempts=(), request_model="m", provider_name=None)
    assert (value_in(refused, "model"), value_in(refused, "provider")) == ("m", None)
    with pytest.raises(KeyError):
        value_in(record, "colour")


@pytest.mark.parametrize(
    ("agent", "client"),
    [
        ("OpenAI/Python 3.1.0", "OpenAI/Python"),
        ("claude-cli/2.0.1 (external, cli)", "claude-cli"),
        ("curl/8.1", "curl"),
        ("python-httpx/v0.27", "python-httpx"),
        ("", None),
        (None, None),
        ("   ", None),
    ],
)
def test_a_client_is_told_without_its_version(agent: str | None, client: str | None):
    assert client_of(agent) == client


def test_who_asks_about_the_gateway_is_no_usage():
    assert is_counted(sample_record(operation="chat"))
    assert not is_counted(sample_record(operation="models"))
    assert not is_counted(sample_record(operation="records"))


def test_periods_begin_by_the_clocks_of_a_zone():
    moment = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC).timestamp()
    berlin = ZoneInfo("Europe/Berlin")
    assert period_of(moment, "hour", berlin) == "2026-10-25T02:00+02:00"
    assert period_of(moment + 3600, "hour", berlin) == "2026-10-25T02:00+01:00"
    assert period_of(moment - 3 * 3600, "day", berlin) == "2026-10-24"
    assert period_of(moment, "month", dt.UTC) == "2026-10"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "", "\x00"])
def test_a_zone_that_is_not_known_is_said_so(name: str):
    with pytest.raises(ValueError, match="is no time zone"):
        zone_named(name)


def test_zones_are_found():
    assert zone_named("utc") is dt.UTC
    assert zone_named("Asia/Kolkata") == ZoneInfo("Asia/Kolkata")
