from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import attrs
from prometheus_client.parser import text_string_to_metric_families

from llmgate.telemetry.measurements import INSTRUMENTS, Measure
from llmgate.telemetry.prometheus import DIRECTORY_VARIABLE, PrometheusSink, exposed_name
from llmgate.telemetry.standing import MeasureStanding
from llmgate.testing.samples import sample_record


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{one.name}{sorted(one.labels.items())}": one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_what_was_counted_is_shown_as_prometheus_reads_it() -> None:
    sink = PrometheusSink(Measure(50), MeasureStanding(50))
    for _ in range(3):
        sink.record(sample_record(stream=True))
    shown = samples(sink.exposition())
    (exchanges,) = [value for name, value in shown.items() if name.startswith("llmgate_exchanges_total")]
    assert exchanges == 3
    sums = [value for name, value in shown.items() if name.startswith("gen_ai_client_token_usage_sum")]
    assert sorted(sums) == [9, 27]


def test_whoever_counts_alone_tells_what_several_would_tell(tmp_path: Path) -> None:
    records = [sample_record(stream=True), sample_record(), attrs.evolve(sample_record(), duration=3.0, attempts=())]
    alone = PrometheusSink(Measure(50), MeasureStanding(50))
    script = (
        "import pickle, sys\n"
        "from llmgate.telemetry.measurements import Measure\n"
        "from llmgate.telemetry.prometheus import PrometheusSink\n"
        "from llmgate.telemetry.standing import MeasureStanding\n"
        "sink = PrometheusSink(Measure(50), MeasureStanding(50))\n"
        "for record in pickle.load(sys.stdin.buffer):\n"
        "    sink.record(record)\n"
        "print(sink.exposition().decode())\n"
    )
    environment = {**os.environ, DIRECTORY_VARIABLE: str(tmp_path)}
    told = pickle.dumps(records)
    done = subprocess.run([sys.executable, "-c", script], env=environment, input=told, capture_output=True, check=True)
    for record in records:
        alone.record(record)
    assert {name: value for name, value in samples(alone.exposition()).items() if value} == {
        name: value for name, value in samples(done.stdout).items() if value
    }


def test_instruments_are_called_as_opentelemetry_would_call_them() -> None:
    names = {one.name: exposed_name(one) for one in INSTRUMENTS}
    assert names["gen_ai.client.operation.duration"] == "gen_ai_client_operation_duration_seconds"
    assert names["gen_ai.client.token.usage"] == "gen_ai_client_token_usage"


def test_any_process_tells_what_all_have_counted(tmp_path: Path) -> None:
    script = (
        "from llmgate.telemetry.measurements import Measure\n"
        "from llmgate.telemetry.prometheus import PrometheusSink\n"
        "from llmgate.testing.samples import sample_record\n"
        "from llmgate.telemetry.standing import MeasureStanding\n"
        "sink = PrometheusSink(Measure(50), MeasureStanding(50))\n"
        "sink.record(sample_record())\n"
        "print(sink.exposition().decode())\n"
    )
    environment = {**os.environ, DIRECTORY_VARIABLE: str(tmp_path)}
    for count in (1, 2, 3):
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True)
        shown = samples(done.stdout)
        assert [value for name, value in shown.items() if name.startswith("llmgate_exchanges_total")] == [count]
