"""What is repeated, how often and after which wait; and a provider that dies after any number of words."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from end_to_end.loopback import MAIN, MESSAGES, Loopback, loopback, settings_for
from llmgate.spec import GatewayError, SystemClock
from llmgate.testing.upstream import FakeUpstream, chat_events
from llmgate.testing.upstream_faults import Phase

HEAD, CONTENT, MIDDLE, LAST = Phase
NOW = 1_700_000_000.0
WORDS = [f"w{number}" for number in range(20)]


def repeating(times: int, delay: str = "1ms") -> dict[str, Any]:
    return {"retries": {"strategy": "constant", "delay": delay, "max-retries": times}}


SHORT = {"connect": "5s", "first-byte": "200ms", "idle": "200ms"}

# fault, when, streamed, retries configured, requests that the provider gets, status
RETRIES = [
    ("status-400", HEAD, False, 2, 1, 400),
    ("status-401", HEAD, False, 2, 1, 502),
    ("status-403", HEAD, False, 2, 1, 502),
    ("status-404", HEAD, False, 2, 1, 404),
    ("status-413", HEAD, False, 2, 1, 413),
    ("status-422", HEAD, True, 2, 1, 422),
    ("status-408", HEAD, False, 2, 3, 408),
    ("status-409", HEAD, False, 2, 3, 409),
    ("status-429", HEAD, False, 2, 3, 429),
    ("status-429", HEAD, False, 0, 1, 429),
    ("status-500", HEAD, False, 2, 3, 500),
    ("status-500", HEAD, True, 1, 2, 500),
    ("status-502", HEAD, False, 2, 3, 502),
    ("status-503", HEAD, True, 2, 3, 503),
    ("status-503", HEAD, False, 0, 1, 503),
    ("status-504", HEAD, False, 2, 3, 504),
    ("status-529", HEAD, False, 3, 4, 503),
    ("html-error", HEAD, False, 1, 2, 502),
    ("hang", HEAD, False, 1, 2, 504),
    ("hang", CONTENT, True, 1, 2, 504),
    ("fin", HEAD, False, 2, 3, 502),
    ("rst", HEAD, True, 2, 3, 502),
    ("fin", MIDDLE, False, 2, 3, 502),
    ("fin", CONTENT, True, 2, 3, 502),
    ("fin", MIDDLE, True, 2, 1, 200),
    ("rst", LAST, True, 2, 1, 200),
    ("hang", MIDDLE, True, 2, 1, 200),
    ("early-end", CONTENT, True, 2, 3, 502),
    ("early-end", LAST, True, 2, 1, 200),
    ("early-end", LAST, False, 1, 2, 502),
    ("error-event", CONTENT, True, 2, 3, 502),
    ("error-event", MIDDLE, True, 2, 1, 200),
    ("garbage", LAST, False, 2, 3, 502),
    ("garbage", MIDDLE, True, 2, 1, 200),
]


@pytest.mark.parametrize(("fault", "phase", "streamed", "retries", "calls", "status"), RETRIES)
async def test_repeats_are_made_exactly_where_they_may_help(
    fault: str, phase: Phase, streamed: bool, retries: int, calls: int, status: int
) -> None:
    async with FakeUpstream() as one:
        one.fault(fault, phase, times=calls + 1)
        settings = settings_for(one, **{"global": repeating(retries)})
        settings["providers"]["one"]["timeouts"] = SHORT if fault == "hang" else {}
        async with loopback(settings) as gateway:
            reply = await gateway.post({"model": "m", "messages": MESSAGES, "stream": streamed, "x-unknown": 1.50})
            (record,) = await gateway.recorded()
        assert reply.status == status
        assert b"[DONE]" not in reply.body
        assert len(one.requests) == len(record.attempts) == calls
        assert len({request.body for request in one.requests}) == 1, "the body is sent again as it was"
        assert b'"x-unknown": 1.5' in one.requests[0].body
        if status != 200 and retries and calls > 1:
            assert reply.headers.get("x-should-retry") == "false", "the client's own repeats would multiply ours"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_repeat_that_helps_is_not_noticed(streamed: bool) -> None:
    async with FakeUpstream() as one:
        one.fault("status-503")
        one.fault("early-end", CONTENT)
        async with loopback(settings_for(one, **{"global": repeating(2)})) as gateway:
            reply = await gateway.post({"model": "m", "messages": MESSAGES, "stream": streamed})
            (record,) = await gateway.recorded()
        assert reply.status == 200
        assert reply.headers["llmgate-attempts"] == "3"
        assert [attempt.error_code is None for attempt in record.attempts] == [False, False, True]


async def test_a_connection_that_is_broken_at_once_is_tried_again() -> None:
    async with FakeUpstream() as one:
        one.reject(2)
        async with loopback(settings_for(one, **{"global": repeating(2)})) as gateway:
            reply = await gateway.post({"model": "m", "messages": MESSAGES})
        assert reply.status == 200
        assert (one.accepted, len(one.requests)) == (3, 1)


async def test_a_repeat_that_would_come_after_the_deadline_is_not_waited_for() -> None:
    async with FakeUpstream() as one:
        one.fault("status-503", times=5)
        hopeless = {"global": repeating(5, "30s"), "timeouts": {"total": "2s"}}
        async with loopback(settings_for(one, **hopeless), clock=Certain()) as gateway:
            reply = await gateway.post({"model": "m", "messages": MESSAGES})
            (record,) = await gateway.recorded()
        assert (reply.status, len(one.requests)) == (503, 1)
        assert record.duration < 1.5


class Certain(SystemClock):
    """No chance, no waiting, and always the same date; keeps what was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return NOW

    def random(self) -> float:
        return 0.999

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


OWN = "our own bound"
NONE = "no repeat"

WAITS: list[tuple[dict[str, str], float | str]] = [
    ({"retry-after": "2"}, 2.0),
    ({"retry-after": "0"}, OWN),
    ({"retry-after": " 3 "}, 3.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30.0),
    ({"retry-after": formatdate(NOW - 3600, usegmt=True)}, OWN),
    ({"retry-after": formatdate(NOW + 3600, usegmt=True)}, NONE),
    ({"retry-after-ms": "2500"}, 2.5),
    ({"retry-after-ms": "2500", "retry-after": "60"}, 2.5),
    ({"retry-after-ms": "soon", "retry-after": "4"}, 4.0),
    ({"retry-after": "119"}, 119.0),
    ({"retry-after": "121"}, NONE),
    ({"retry-after": "1000000000000"}, NONE),
    ({"retry-after": "9" * 400}, OWN),
    ({"retry-after": "-5"}, OWN),
    ({"retry-after": "1e3"}, OWN),
    ({"retry-after": "NaN"}, OWN),
    ({"retry-after": "inf"}, OWN),
    ({"retry-after": "soon"}, OWN),
    ({"retry-after": "Mon, 99 Foo 2099 99:99:99 GMT"}, OWN),
    ({"retry-after": ""}, OWN),
    ({}, OWN),
]


@pytest.mark.parametrize(("headers", "expected"), WAITS, ids=lambda value: str(value)[:60])
async def test_the_wait_that_a_provider_asks_for_is_kept_within_reason(
    headers: dict[str, str], expected: float | str
) -> None:
    clock = Certain()
    async with FakeUpstream() as one:
        one.answer(429, json={"error": {"message": "slow down"}}, headers=headers)
        async with loopback(settings_for(one, **{"global": repeating(1, "1s")}), clock=clock) as gateway:
            reply = await gateway.post({"model": "m", "messages": MESSAGES})
    if expected == NONE:
        assert (clock.slept, reply.status, len(one.requests)) == ([], 429, 1)
        assert int(reply.headers["retry-after"]) > 120
        return
    assert clock.slept == [pytest.approx(0.999 if expected == OWN else expected)]
    assert (reply.status, len(one.requests)) == (200, 2)


async def dies_after(gateway: Loopback, one: FakeUpstream, words: int, end: Any) -> tuple[str, bytes]:
    """The text that a caller gets of a stream that dies, and how it ends."""
    role, *said = chat_events(" ".join(WORDS))[:-1]
    one.stream([role, *said[:words]], end=end)
    reply = await gateway.post({"model": "m", "messages": MESSAGES, "stream": True}, MAIN)
    assert reply.status == 200
    answer = [event for event in reply.events if b'"delta"' in event]
    text = "".join(event.split(b'"content":')[1].split(b'"')[1].decode() for event in answer if b'"content":' in event)
    return text, reply.events[-1]


@pytest.mark.parametrize("end", ["eof", "cut", "reset"])
async def test_a_provider_that_dies_after_any_number_of_words(end: str) -> None:
    """Before the first word another one answers; after it the text is a beginning of its own, and no end is shown."""
    never_left_out = {"discover": {"monitor": {"health": {"type": "error-ratio", "ratio": 1}}}}
    async with (
        FakeUpstream() as one,
        FakeUpstream() as two,
        loopback(settings_for(one, two, **never_left_out)) as gateway,
    ):
        for words in range(len(WORDS) + 1):
            text, last = await dies_after(gateway, one, words, end)
            if words == 0:
                assert (text, last) == ("hello wide world", b"data: [DONE]")
            else:
                assert text == " ".join(WORDS[:words])
                assert b'"error"' in last
        assert len(two.requests) == 1
        records = await gateway.recorded(len(WORDS) + 1)
        assert [record.outcome for record in records] == ["ok"] + ["incomplete"] * len(WORDS)


async def test_in_process_a_call_may_say_how_often_it_is_repeated() -> None:
    async with FakeUpstream() as one, loopback(settings_for(one, **{"global": repeating(3)})) as gateway:
        one.fault("status-500", times=10)
        for times in (0, 1, 2):
            with pytest.raises(GatewayError):
                await gateway.pipeline.complete(router="main", model="m", messages=MESSAGES, max_retries=times)
        assert len(one.requests) == 1 + 2 + 3
