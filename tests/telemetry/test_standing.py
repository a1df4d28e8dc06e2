"""How the gateway does, as collectors are told it: breakers, queues, the journal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, InMemoryMetricReader
from prometheus_client.parser import text_string_to_metric_families

from end_to_end.loopback import MESSAGES, Loopback, loopback, settings_for
from journal.conftest import Sink, until
from llmgate.pipeline.settling import RecordQueue
from llmgate.spec import Logger, Record, hookimpl
from llmgate.telemetry import Telemetry
from llmgate.telemetry.measurements import Measure
from llmgate.telemetry.otlp import OtlpSink
from llmgate.telemetry.prometheus import DIRECTORY_VARIABLE, PrometheusSink
from llmgate.telemetry.standing import STANDING, Breaker, LoggerStanding, MeasureStanding, Standing
from llmgate.testing.samples import sample_record
from llmgate.testing.upstream import FakeUpstream

STUCK = LoggerStanding("loggers.sql", 7, 4200, 12.5, failing=True, dropped=2, failed=3)
BAD = Standing([STUCK], [Breaker("a/m", "closed", known=True), Breaker("a/m", "open", known=True)], True, 5)
SAID = {
    "llmgate_deployment_breaker": 2,
    "llmgate_logger_waiting": 7,
    "llmgate_logger_backlog_bytes": 4200,
    "llmgate_logger_oldest_seconds": 12.5,
    "llmgate_logger_failing": 1,
    "llmgate_logger_dropped_total": 2,
    "llmgate_logger_failures_total": 3,
    "llmgate_journal_down": 1,
    "llmgate_journal_failed_total": 5,
}


class DownLogger(Logger[Any]):
    """A logger whose service does not answer; the journal keeps what it is owed."""

    name = "down"
    durable = True

    def __init__(self, config: Any) -> None:
        super().__init__(config)

    async def record(self, record: Record) -> None:
        raise OSError("nobody answers")


class DownPlugin:
    """Registers the logger that is down."""

    @hookimpl
    def llmgate_register_loggers(self) -> type[DownLogger]:
        return DownLogger


def shown(text: bytes) -> dict[str, float]:
    return {
        one.name: one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
        if one.name in SAID
    }


def test_prometheus_is_told_how_it_is_now_and_counts_never_fall() -> None:
    sink = PrometheusSink(Measure(50), MeasureStanding(50))
    sink.stand(BAD)
    sink.stand(BAD)
    assert shown(sink.exposition()) == SAID
    sink.stand(Standing([attrs.evolve(STUCK, waiting=0, failing=False, dropped=1)], (), False, 6))
    now = shown(sink.exposition())
    assert (now["llmgate_logger_waiting"], now["llmgate_logger_failing"], now["llmgate_deployment_breaker"]) == (
        0,
        0,
        0,
    )
    assert (now["llmgate_logger_dropped_total"], now["llmgate_journal_failed_total"]) == (3, 6), "it began anew at 0"


def test_labels_are_bounded_and_inventions_are_none() -> None:
    measure = MeasureStanding(3)
    invented = [Breaker(f"a/{number}", "closed", known=False) for number in range(1000)]
    asked = [Breaker(f"b/{number}", "open" if number == 9 else "closed", known=True) for number in range(10)]
    loggers = [attrs.evolve(STUCK, id=f"loggers.{number}") for number in range(200)]
    read = [
        *measure.read(Standing(loggers, [*invented, *asked])),
        *measure.read(Standing(loggers, [*asked, *invented])),
    ]
    breakers = {one.labels: one.value for one in read if one.instrument.name == "llmgate.deployment.breaker"}
    assert breakers == {("b/0",): 0, ("b/1",): 0, ("b/2",): 0, ("other",): 2}
    waiting = {one.labels: one.value for one in read if one.instrument.name == "llmgate.logger.waiting"}
    assert len(waiting) == 101
    assert waiting["other",] == 7 * 100


WORKER = """
import sys
from llmgate.telemetry.measurements import Measure
from llmgate.telemetry.prometheus import PrometheusSink
from llmgate.telemetry.standing import Breaker, LoggerStanding, MeasureStanding, Standing
sink = PrometheusSink(Measure(50), MeasureStanding(50))
count = int(sys.argv[1])
logger = LoggerStanding("loggers.sql", count, count * 10, float(count), count == 1, count, count)
sink.stand(Standing([logger], [Breaker("a/m", "open" if count == 1 else "closed", known=True)], False, 0))
print("told", flush=True)
sys.stdin.readline()
sys.stdout.buffer.write(sink.exposition())
"""


def test_workers_are_taken_together_and_those_that_are_no_more_left_out(tmp_path: Path) -> None:
    environment = {**os.environ, DIRECTORY_VARIABLE: str(tmp_path)}
    workers = []
    for count in (1, 2, 4):
        command = [sys.executable, "-c", WORKER, str(count)]
        one = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert one.stdout is not None
        assert one.stdout.readline() == b"told\n"
        workers.append(one)
    workers[2].kill()
    workers[2].communicate()
    both = shown(workers[1].communicate(b"\n")[0])
    alone = shown(workers[0].communicate(b"\n")[0])
    names = ("waiting", "backlog_bytes", "oldest_seconds", "failing", "dropped_total")
    assert [both[f"llmgate_logger_{name}"] for name in names] == [3, 30, 2, 1, 7]
    assert both["llmgate_deployment_breaker"] == 2
    assert [alone[f"llmgate_logger_{name}"] for name in names] == [1, 10, 1, 1, 7]


def test_otlp_is_told_the_same_when_it_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    monkeypatch.setattr("llmgate.telemetry.otlp.PeriodicExportingMetricReader", lambda _: reader)
    monkeypatch.setattr("llmgate.telemetry.otlp._TOGETHER", 0.0)
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    sink = OtlpSink({}, Measure(50), InMemorySpanExporter(), ConsoleMetricExporter())
    now: list[Standing | None] = [BAD]
    sink.observe(MeasureStanding(50), lambda: now[0])

    def said() -> dict[str, tuple[float, dict[str, Any]]]:
        data = reader.get_metrics_data()
        assert data is not None
        assert encode_metrics(data).resource_metrics, "an exporter can write every value"
        (scope,) = data.resource_metrics[0].scope_metrics
        points: dict[str, Any] = {one.name: next(iter(one.data.data_points)) for one in scope.metrics}
        return {name: (point.value, dict(point.attributes)) for name, point in points.items()}

    first = said()
    assert first.keys() == {one.name for one in STANDING}
    assert first["llmgate.logger.backlog"] == (4200, {"llmgate.logger": "loggers.sql"})
    assert first["llmgate.deployment.breaker"] == (2, {"llmgate.deployment": "a/m"})
    assert first["llmgate.journal.down"] == (1, {})
    now[0] = attrs.evolve(BAD, loggers=[attrs.evolve(STUCK, waiting=1)])
    assert said()["llmgate.logger.waiting"][0] == 1
    sink.close()


async def test_a_queue_tells_what_waits_and_whether_its_logger_takes_it() -> None:
    sink = Sink()
    sink.down = True
    queue = RecordQueue("loggers.sink", sink)
    record = sample_record()
    queue.offer(record)
    assert await queue.depth() == (1, 0, record.started_at + record.duration)
    queue.start()
    await until(lambda: queue.failing)
    sink.down = False
    queue.offer(record)
    await until(lambda: not queue.failing)
    assert await queue.depth() == (0, 0, None)
    await queue.aclose()


async def test_a_sink_that_is_down_is_seen_and_makes_the_gateway_no_less_ready(tmp_path: Path) -> None:
    async with FakeUpstream() as one:
        more = {
            "records": {"journal": {"path": str(tmp_path / "journal")}},
            "loggers": [{"use": "down"}],
            "telemetry": {"prometheus": True},
        }
        async with loopback(settings_for(one, **more), plugins=[DownPlugin()]) as gateway:
            assert (await gateway.post({"model": "one/m", "messages": MESSAGES})).status == 200
            async with asyncio.timeout(10):
                while not (seen := json.loads(await got(gateway, "/v1/health/deployments")))["records"]["loggers"][1][
                    "failing"
                ]:
                    await asyncio.sleep(0.01)
            said = (await got(gateway, "/metrics")).decode()
            assert json.loads(await got(gateway, "/ready")) == {"status": "ready"}
    kept, down, telemetry = seen["records"]["loggers"]
    assert [entry["id"] for entry in (kept, down, telemetry)] == ["loggers[0]", "loggers[1]", "telemetry"]
    assert (kept["waiting"], kept["failing"], kept["oldest_seconds"]) == (0, False, None)
    assert down["waiting"] >= 1
    assert down["backlog_bytes"] > 100
    assert 0 <= down["oldest_seconds"] < 10
    assert seen["records"]["journal"] == {"down": False, "failed": 0}
    assert 'llmgate_logger_failing{llmgate_logger="loggers[1]"} 1.0' in said
    assert 'llmgate_logger_failing{llmgate_logger="loggers[0]"} 0.0' in said
    assert 'llmgate_deployment_breaker{llmgate_deployment="one/m"} 0.0' in said


async def got(gateway: Loopback, path: str) -> bytes:
    url = f"http://127.0.0.1:{gateway.port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_an_export_asks_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    monkeypatch.setattr("llmgate.telemetry.otlp.PeriodicExportingMetricReader", lambda _: reader)
    telemetry = Telemetry("otlp", "http://127.0.0.1:9", "gate", 0.0, False, False, 50)
    asked: list[asyncio.AbstractEventLoop] = []

    async def stand() -> Standing:
        asked.append(asyncio.get_running_loop())
        return BAD

    telemetry.open(stand)
    data = await asyncio.to_thread(reader.get_metrics_data)
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    assert {one.name for one in scope.metrics} == {one.name for one in STANDING}
    assert asked == [asyncio.get_running_loop()], "once for all the instruments"
    await telemetry.aclose()
