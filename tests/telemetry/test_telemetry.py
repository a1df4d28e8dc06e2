from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from llmgate import Pipeline
from llmgate.formats import get_format, read_request
from llmgate.spec import ConfigError, Credentials, Operation
from llmgate.telemetry import Telemetry
from llmgate.telemetry.standing import Standing
from scripted import MESSAGES, OpenBench, completion, failure

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ASKED = {"model": "main/gpt-4o", "messages": MESSAGES}


async def ask(pipeline: Pipeline, **headers: str) -> None:
    credentials = Credentials(headers=headers, client_address="127.0.0.1")
    async with pipeline.exchange(credentials=credentials, operation=Operation.CHAT, surface="openai") as exchange:
        await exchange.send(read_request(get_format("openai-chat"), json.dumps(ASKED).encode()))


async def test_providers_are_told_their_place_in_the_callers_trace(bench: OpenBench) -> None:
    answers = [failure(500), completion()]
    async with bench(*answers, telemetry={"propagate": True}) as b:
        await ask(b.pipeline, traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=a")
        told = [request.headers["traceparent"] for request in b.transport.requests]
        assert [request.headers["tracestate"] for request in b.transport.requests] == ["vendor=a"] * 2
        (record,) = await b.records()
    assert record.trace is not None
    assert (record.trace.trace_id, record.trace.parent_id) == (TRACE, SPAN)
    assert told == [f"00-{TRACE}-{attempt.span_id}-01" for attempt in record.attempts]
    assert len({SPAN, record.trace.span_id, *(attempt.span_id for attempt in record.attempts)}) == 4


async def test_nobody_is_told_and_nothing_is_made_up_where_nobody_traces(bench: OpenBench) -> None:
    async with bench(completion()) as b:
        assert b.pipeline.snapshot.telemetry is None
        await ask(b.pipeline, traceparent=f"00-{TRACE}-{SPAN}-01")
        assert "traceparent" not in b.transport.requests[0].headers
        (record,) = await b.records()
    assert record.trace is None
    assert record.attempts[0].span_id == ""


async def test_what_is_counted_goes_on_over_a_reload_that_changes_nothing_of_it(bench: OpenBench) -> None:
    async with bench(completion(), telemetry={"prometheus": True}) as b:
        before = b.pipeline.snapshot.telemetry
        assert before is not None
        await b.pipeline.reload()
        assert b.pipeline.snapshot.telemetry is before
        await ask(b.pipeline)
        metrics = before.metrics
        assert metrics is not None
        await b.pipeline.aclose()
        assert b"llmgate_exchanges_total{" in metrics.exposition()
        assert b'gen_ai_provider_name="' in metrics.exposition()


def arguments(**fields: Any) -> dict[str, Any]:
    return {
        "exporter": "stdout",
        "otlp_endpoint": "",
        "service_name": "gate",
        "sampling": 1.0,
        "propagate": False,
        "prometheus": False,
        "max_models": 50,
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exporter": "otlp"}, r"telemetry\.exporter: .* pip install 'llmgate\[otel\]'"),
        ({"prometheus": True}, r"telemetry\.prometheus: .* pip install 'llmgate\[prometheus\]'"),
    ],
)
def test_a_package_that_is_missing_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=message):
        Telemetry(**arguments(**fields))


async def nothing() -> Standing:
    return Standing()


async def test_nothing_runs_before_it_is_opened_and_nothing_after_it_is_closed() -> None:
    telemetry = Telemetry(**arguments(exporter="otlp", otlp_endpoint="http://127.0.0.1:9", prometheus=True))
    assert telemetry.metrics is None
    telemetry.open(nothing)
    metrics = telemetry.metrics
    telemetry.open(nothing)
    assert telemetry.metrics is metrics
    await telemetry.aclose()
    await telemetry.aclose()
