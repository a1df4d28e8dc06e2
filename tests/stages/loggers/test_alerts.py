"""``alerts``: what is more than a threshold is told once, to everybody, and taken back once."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import tracemalloc
from typing import Any

import attrs
import pytest

from llmgate import Pipeline
from llmgate.config import load
from llmgate.registry import Registry
from llmgate.spec import ConfigError, PluginError, ProviderResponse, ProviderTimeoutError, SecretRef
from llmgate.stages.loggers.alerts import Alerts, AlertsConfig, Receiver, Rule
from llmgate.stages.loggers.alerts.windows import Window, slot_of
from llmgate.testing import AnsweringTransport, FakeClock, FakeUpstream
from llmgate.testing.conformance import LoggerConformance
from llmgate.testing.samples import sample_record

URL = "https://receiver.test/alerts"
SLACK = "https://hooks.slack.test/services/canary-slack"
DISCORD = "https://discord.test/api/webhooks/canary-discord"
SECRETS = {
    "env:HOOK_SECRET": "canary-canary-canary-canary",
    "env:HOOK_TOKEN": "Bearer canary-token",
    "env:SLACK": SLACK,
    "env:DISCORD": DISCORD,
    "env:SHORT": "short",
    "env:PLAIN": "http://receiver.test/canary-plain",
}
HOOK = Receiver("webhook", URL)
DOLLAR = 10**9


def taken(_: Any) -> ProviderResponse:
    return ProviderResponse(204, {}, b"")


class TestAlerts(LoggerConformance):
    """A rule that is passed by every record, and told each time, is a logger that writes every record."""

    stage_class = Alerts
    config = AlertsConfig(
        rules=[Rule("all", "requests", "0", per="model", pause=0)],
        send=[Receiver("webhook", URL, SecretRef("env", "HOOK_SECRET"), SecretRef("env", "HOOK_TOKEN"))],
        waiting=2000,
    )
    secrets = SECRETS

    def make_context(self, directory, clock):
        return attrs.evolve(super().make_context(directory, clock), transport=AnsweringTransport(taken))

    def written(self, context):
        return [json.dumps(json.loads(one.body)["data"]) for one in context.transport.requests]


class Bench:
    """A stage that is open, and what it has sent."""

    def __init__(self, tmp_path, *rules: Rule, send=(HOOK,), answer=taken, **fields: Any) -> None:
        self.clock = FakeClock()
        self.transport = AnsweringTransport(answer)
        context = TestAlerts().make_context(tmp_path, self.clock)
        self.context = attrs.evolve(context, transport=self.transport)
        self.stage = Alerts(AlertsConfig(rules=rules, send=send, **fields))

    async def __aenter__(self):
        await self.stage.open(self.context)
        return self

    async def __aexit__(self, *_):
        await self.stage.aclose()

    async def take(self, count: int = 1, **fields: Any) -> None:
        for _ in range(count):
            await self.stage.record(sample_record(**fields))
        await self.clock.advance(0)

    def told(self) -> list[tuple[str, str | None]]:
        data = [json.loads(one.body)["data"] for one in self.transport.requests]
        return [(one["status"], one["value"]) for one in data]


async def test_spend_is_compared_in_nano_usd_for_each_team(tmp_path):
    async with Bench(tmp_path, Rule("spend", "spend", "50", per="team")) as bench:
        await bench.take(50, team="red", cost_nano=DOLLAR)
        await bench.take(40, team="blue", cost_nano=DOLLAR)
        await bench.take(team="red", cost_nano=None)
        assert bench.told() == []
        await bench.take(team="red", cost_nano=1)
        assert bench.told() == [("firing", "red")]
        data = json.loads(bench.transport.requests[0].body)["data"]
        assert (data["amount"], data["requests"], data["over"]) == ("50.000000001", 51, "50")
        await bench.take(9, team="red", cost_nano=DOLLAR)
        assert len(bench.told()) == 1, "not again within the pause"


async def test_what_is_over_is_taken_back_once_though_nobody_calls(tmp_path):
    async with Bench(tmp_path, Rule("spend", "spend", "1", window=60, pause=600)) as bench:
        await bench.take(2, cost_nano=DOLLAR)
        for _ in range(40):
            await bench.clock.advance(3)
        assert bench.told() == [("firing", None), ("resolved", None)]
        assert bench.clock.sleeping == 0, "nothing runs while nothing is told"
        await bench.take(2, cost_nano=DOLLAR)
        assert len(bench.told()) == 2, "the pause holds over a notice that it is over"
        for _ in range(200):
            await bench.clock.advance(3)
        assert len(bench.told()) == 2, "what was not told is not taken back"
        await bench.take(2, cost_nano=DOLLAR)
        assert bench.told()[2:] == [("firing", None)]


async def test_what_stays_over_is_told_again_after_the_pause(tmp_path):
    async with Bench(tmp_path, Rule("many", "requests", "1", window=3600, pause=300)) as bench:
        await bench.take(2)
        await bench.clock.advance(299)
        await bench.take()
        assert len(bench.told()) == 1
        await bench.clock.advance(1)
        await bench.take()
        assert [status for status, _ in bench.told()] == ["firing", "firing"]


def test_a_window_agrees_with_a_list_of_all_that_happened():
    chance, window, seen, moment = random.Random(7), Window(), [], 0.0
    for _ in range(5000):
        moment += chance.choice((0.0, 0.1, 1.0, 4.0, 70.0)) * chance.random()
        slot, amount = slot_of(moment, 60), chance.randrange(10)
        window.slide(slot)
        window.add(slot, amount)
        seen.append((slot, amount))
        inside = [amount for at, amount in seen if at > slot - 20]
        assert (window.total, window.amount) == (len(inside), sum(inside))


async def test_an_error_rate_wants_enough_requests_and_counts_what_is_not_the_callers_fault(tmp_path):
    rule = Rule("errors", "error-rate", "0.5", at_least=10)
    async with Bench(tmp_path, rule) as bench:
        await bench.take(9, outcome="error", status=502, error_code="x")
        assert bench.told() == [], "too few"
        await bench.take(1, outcome="error", status=401, error_code="x")
        assert bench.told() == [("firing", None)]
    async with Bench(tmp_path, rule) as bench:
        await bench.take(100, outcome="error", status=429, error_code="x")
        await bench.take(100, outcome="cancelled", status=None)
        assert bench.told() == []
    async with Bench(tmp_path, attrs.evolve(rule, caller_errors=True)) as bench:
        await bench.take(10, outcome="error", status=429, error_code="x")
        assert bench.told() == [("firing", None)]
    async with Bench(tmp_path, rule) as bench:
        await bench.take(10)
        await bench.take(10, outcome="incomplete", status=200, error_code="x")
        assert bench.told() == [], "half is not more than half"


async def test_a_provider_that_fails_is_seen_though_another_answers(tmp_path):
    good = sample_record().attempts[0]
    bad = attrs.evolve(good, provider_name="shaky", error_code="provider_unreachable", status=None)
    refused = attrs.evolve(good, provider_name="strict", error_code="invalid_request", status=400)
    async with Bench(tmp_path, Rule("errors", "errors", "2", per="provider")) as bench:
        await bench.take(3, attempts=(bad, refused, good))
        assert bench.told() == [("firing", "shaky")]


@pytest.mark.parametrize(("slow", "told"), [(5, 0), (6, 1)])
async def test_a_percentile_is_exact(tmp_path, slow, told):
    """The 95th percentile of 100 is the 95th in their order: five may be slower, six may not."""
    async with Bench(tmp_path, Rule("slow", "latency", "2.5", at_least=100)) as bench:
        await bench.take(100, outcome="error", status=502, error_code="x", duration=99.0)
        await bench.take(slow, duration=2.6)
        await bench.take(100 - slow, duration=2.5)
        assert len(bench.told()) == told


async def test_time_to_first_content_is_looked_at_where_there_was_any(tmp_path):
    async with Bench(tmp_path, Rule("first", "first-content", "1", percentile=50, at_least=1)) as bench:
        await bench.take(10, first_content=None, duration=100.0)
        assert bench.told() == []
        await bench.take(1, first_content=1.5)
        assert bench.told() == [("firing", None)]


@pytest.mark.parametrize(
    ("per", "field"),
    [
        ("key", "key_id"),
        ("team", "team"),
        ("user", "user"),
        ("model", "request_model"),
        ("principal", "principal"),
        ("router", "router"),
    ],
)
async def test_each_part_is_looked_at_apart(tmp_path, per, field):
    async with Bench(tmp_path, Rule("many", "requests", "1", per=per)) as bench:
        await bench.take(**{field: "a"})
        await bench.take(**{field: "b"})
        assert bench.told() == []
        await bench.take(**{field: "b"})
        await bench.take(2, **{field: None})
        assert bench.told() == [("firing", "b"), ("firing", None)]


async def test_many_names_are_taken_together_and_memory_is_flat(tmp_path):
    rule = Rule("users", "requests", "20", per="user", values=10, window=60, pause=0)
    async with Bench(tmp_path, attrs.evolve(rule, pause=10_000)) as bench:
        for number in range(31):
            await bench.take(user=f"user-{number}")
        (told,) = (json.loads(one.body)["data"] for one in bench.transport.requests)
        assert (told["others"], told["value"], told["requests"]) == (True, None, 21)
        assert "beyond the first 10 together" in told["text"]
        await bench.clock.advance(61)
        await bench.take(user="late")
        assert bench.stage._watches[0].size == 1, "those of whom nothing is left make room"
    async with Bench(tmp_path, rule) as bench:
        await bench.take(user="x")
        tracemalloc.start()
        for number in range(2000):
            await bench.take(user=f"user-{number}")
            bench.transport.requests.clear()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert size < 1_000_000
        assert bench.stage._watches[0].size == 10


HOSTILE = "@everyone <!channel> <https://evil.test|x> `x` [a](https://evil.test) &\r\nalert: forged\u2028\u202e\x1b[31m"


async def test_what_callers_write_mentions_nobody_links_nowhere_and_begins_no_line(tmp_path, caplog):
    send = (
        Receiver("slack", SecretRef("env", "SLACK")),
        Receiver("discord", SecretRef("env", "DISCORD")),
        Receiver("log"),
    )
    with caplog.at_level(logging.INFO, "llmgate.alerts"):
        async with Bench(tmp_path, Rule("many", "requests", "0", per="user"), send=send) as bench:
            await bench.take(user=HOSTILE * 100)
    by_url = {one.url: json.loads(one.body) for one in bench.transport.requests}
    assert by_url.keys() == {SLACK, DISCORD}
    assert by_url[SLACK].keys() == {"text"}
    assert not set(by_url[SLACK]["text"]) & set("<>")
    assert "&lt;!channel&gt;" in by_url[SLACK]["text"]
    assert by_url[DISCORD]["allowed_mentions"] == {"parse": []}
    assert len(by_url[DISCORD]["content"]) <= 2000
    (line,) = caplog.messages
    for text in (by_url[SLACK]["text"], by_url[DISCORD]["content"], line):
        assert text.count("`") == 2, "one code span, which the value cannot leave"
        assert text.isprintable()
        assert text.index("`") < text.index("@everyone") < text.rindex("`")


async def test_a_receiver_that_is_down_loses_no_count_and_keeps_nobody_waiting(tmp_path, caplog):
    def answer(request):
        if request.url == SLACK:
            raise ProviderTimeoutError("too slow")
        return taken(request)

    send = (Receiver("slack", SecretRef("env", "SLACK")), HOOK)
    async with Bench(tmp_path, Rule("many", "requests", "2", pause=0), send=send, answer=answer, tries=3) as bench:
        await bench.take(5)
        assert [one.url for one in bench.transport.requests].count(URL) == 1
        for _ in range(30):
            await bench.clock.advance(4)
        bodies = [json.loads(one.body)["data"] for one in bench.transport.requests if one.url == URL]
        assert [one["requests"] for one in bodies] == [3, 4, 5]
        assert len(bench.transport.requests) == 3 + 3 * 3
    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert all("the slack receiver of loggers[0] does not answer in time" in one for one in errors)
    assert "canary" not in caplog.text


async def test_a_try_again_is_the_same_event_and_waits_as_long_as_it_is_asked_to(tmp_path):
    answers = iter([ProviderResponse(503, {"retry-after": "7"}, b""), taken(None)])
    send = (attrs.evolve(HOOK, secret=SecretRef("env", "HOOK_SECRET")),)
    rule = Rule("many", "requests", "0")
    async with Bench(tmp_path, rule, send=send, answer=lambda _: next(answers)) as bench:
        await bench.take()
        await bench.clock.advance(6)
        assert len(bench.transport.requests) == 1
        await bench.clock.advance(1)
        first, second = bench.transport.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == json.loads(first.body)["data"]["id"]
    assert first.body == second.body
    assert second.headers["webhook-signature"].startswith("v1,")
    assert json.loads(first.body)["type"] == "llmgate.alert"


async def test_a_receiver_that_never_answers_bounds_what_waits(tmp_path, caplog):
    held = asyncio.Event()

    async def never(_):
        await held.wait()
        return taken(None)

    async with Bench(tmp_path, Rule("many", "requests", "0", pause=0), waiting=5) as bench:
        bench.transport.send = never
        await asyncio.wait_for(bench.take(100), 5)
        assert bench.stage._delivery.dropped == 95
        held.set()
    assert caplog.text.count("too many alerts wait") == 1
    assert "95 alerts are not sent" in caplog.text


async def test_an_address_that_is_none_is_told_without_showing_it(tmp_path, caplog):
    send = (Receiver("slack", SecretRef("env", "PLAIN")),)
    async with Bench(tmp_path, Rule("many", "requests", "0"), send=send, tries=1) as bench:
        await bench.take()
    assert bench.transport.requests == []
    assert "what env:PLAIN holds is no https:// address" in caplog.text
    assert "canary" not in caplog.text


async def test_a_short_secret_is_refused_at_the_start(tmp_path):
    send = (attrs.evolve(HOOK, secret=SecretRef("env", "SHORT")),)
    with pytest.raises(PluginError, match=r"the secret env:SHORT is too short .* 24 bytes"):
        async with Bench(tmp_path, Rule("many", "requests", "0"), send=send):
            pass


RULE = "{name: a, of: spend, over: 1}"


@pytest.mark.parametrize(
    ("rules", "send", "said"),
    [
        ("[]", "[{to: log}]", "at least one"),
        ("[{name: A b, of: spend, over: 1}]", "[{to: log}]", "lower-case letters"),
        ("[{name: a, of: spend, over: -1}]", "[{to: log}]", "write a number"),
        ("[{name: a, of: spend, over: 1e9}]", "[{to: log}]", "write a number"),
        ("[{name: a, of: errors, over: 1.5}]", "[{to: log}]", "whole number"),
        ("[{name: a, of: error-rate, over: 5}]", "[{to: log}]", "a share"),
        ("[{name: a, of: spent, over: 5}]", "[{to: log}]", "spend"),
        ("[{name: a, of: latency, over: 5, percentile: 0}]", "[{to: log}]", "percentile"),
        (f"[{RULE}, {RULE}]", "[{to: log}]", "two are called a"),
        (f"[{RULE}]", "[]", "at least one"),
        (f"[{RULE}]", "[{to: webhook}]", "needs one"),
        (f"[{RULE}]", "[{to: webhook, url: 'http://receiver.test'}]", "TLS"),
        (f"[{RULE}]", "[{to: slack, url: 'https://hooks.slack.test/canary'}]", "env:SLACK_WEBHOOK_URL"),
        (f"[{RULE}]", "[{to: log, url: 'https://receiver.test'}]", "take it out"),
        (f"[{RULE}]", "[{to: slack, url: env:SLACK, secret: env:X}]", "for a webhook"),
    ],
)
def test_what_is_wrong_is_refused_with_the_remedy(tmp_path, rules, send, said):
    path, registry = tmp_path / "llmgate.yaml", Registry()
    path.write_text(f"providers:\n  echo: {{}}\nloggers:\n  - use: alerts\n    rules: {rules}\n    send: {send}\n")
    with pytest.raises(ConfigError) as refused:
        load(path, environment={}, find=registry.find, names=registry.names)
    assert said in str(refused.value)
    assert "canary" not in str(refused.value)


async def test_over_http_as_configured(tmp_path, monkeypatch):
    """A real receiver that is down for the first try, and a gateway that closes at once."""
    async with FakeUpstream() as receiver:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", f"{receiver.url}/services/x")
        receiver.answer(503, headers={"retry-after": "0.1"})
        receiver.answer(200, times=9)
        config = tmp_path / "llmgate.yaml"
        config.write_text(
            "providers:\n  echo: {}\nloggers:\n  - use: alerts\n"
            "    rules: [{name: busy, of: requests, over: 1, per: model, window: 1m}]\n"
            "    send: [{to: slack, url: 'env:SLACK_WEBHOOK_URL'}]\n"
        )
        async with Pipeline.from_config(config) as pipeline:
            for _ in range(3):
                await pipeline.complete(model="echo/any", messages=[{"role": "user", "content": "hello"}])
        sent = [json.loads(request.body) for request in receiver.requests]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert sent[0]["text"].startswith("alert: busy: requests over 1 of model `echo/any`: 2 requests in the last 1 min")
